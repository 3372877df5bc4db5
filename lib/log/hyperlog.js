'use strict'

const { Readable } = require('node:stream')

const { badArgument, closed, coded } = require('../errors')
const { promised } = require('../callback')
const { Cursor } = require('./cursor')
const { WHOLE_VALUES } = require('../native/layout')
const reading = require('./reader')

/** Nodes asked for at a time: enough to keep the store busy, however many heads strangers have made. */
const AT_ONCE = 64

/** `emitter._hyperlog`: the log as 1.x's code reads it, nodes with their whole values. */
class Hyperlog {
  #parts

  constructor (parts) {
    this.#parts = parts
  }

  /** Id of the local log; null before the store is open. */
  get id () {
    return this.#parts.logId
  }

  /** The last change stored. */
  get changes () {
    return this.#parts.lastChange()
  }

  /** `callback()` once the store is open. */
  ready (callback) {
    return promised(callback, (done) => this.#parts.ready.then(() => done(), done))
  }

  /** The node with a key: `callback(err, node)` or a promise; a missing one is an error with `notFound`. */
  get (key, opts, callback) {
    if (typeof opts === 'function') callback = opts
    return promised(callback, (done) => settle(reading.get(this.#parts, key).then((node) => {
      if (node === undefined) throw missing(key)
      return node
    }), done))
  }

  /** Nodes that nothing links to: `callback(err, nodes)` or a promise. */
  heads (opts, callback) {
    if (typeof opts === 'function') callback = opts
    return promised(callback, (done) => settle(this.#headNodes(), done))
  }

  async #headNodes () {
    const nodes = []
    const heads = await reading.heads(this.#parts)
    for (let at = 0; at < heads.length; at += AT_ONCE) {
      nodes.push(...await Promise.all(heads.slice(at, at + AT_ONCE).map(({ key }) => reading.get(this.#parts, key))))
    }
    return nodes
  }

  /**
   * Nodes in order of change.
   *
   * @param {{ since?: number, until?: number, limit?: number, live?: boolean, reverse?: boolean }} [opts]
   */
  createReadStream ({ since = 0, until = Infinity, limit = Infinity, live = false, reverse = false } = {}) {
    const parts = this.#parts
    if (limit === -1) limit = Infinity
    if (live && reverse) throw badArgument('a read stream cannot be live and reverse')
    let cursor
    let rows
    let fetching = false
    const pass = (current) => {
      while (current.advance()) {
        if (limit-- <= 0 || (reverse ? current.change <= since : current.change > until)) return stream.push(null)
        if (!stream.push(current.node())) return
      }
      if (rows === current) fetch()
    }
    const fetch = () => {
      if (cursor === undefined) return stream.push(null)
      rows = undefined
      fetching = true
      cursor.fetch((error, found) => {
        fetching = false
        if (stream.destroyed) return
        if (error) return stream.destroy(error)
        if (found === undefined) return stream.push(null)
        rows = found
        pass(rows)
      })
    }
    const stream = new Readable({
      objectMode: true,
      construct (done) {
        parts.ready.then(() => {
          const from = reverse ? Math.min(until, parts.lastChange()) + 1 : since
          cursor = new Cursor(parts, { from, reverse, live, wants: WHOLE_VALUES })
          done()
          // Closed before it was open: who reads live has heard everything.
        }, (error) => live && parts.closing ? done() : done(error))
      },
      read () {
        if (rows !== undefined) pass(rows)
        else if (!fetching) fetch()
      },
      destroy (error, done) {
        cursor?.end()
        done(error)
      }
    })
    if (parts.closing) stream.destroy(closed())
    return stream
  }
}

/** Calls back outside of the promise, where an exception of the callback's is its own. */
function settle (promise, done) {
  promise.then((value) => process.nextTick(done, null, value), (error) => process.nextTick(done, error))
}

function missing (key) {
  return Object.assign(coded('ERR_HYPER_NOT_FOUND', `there is no node ${key}`), { notFound: true, status: 404 })
}

module.exports = Hyperlog
