'use strict'

const { Readable } = require('node:stream')

const { closed, liveAndReverse, noSuchNode } = require('../errors')
const { promised } = require('../callback')
const { WHOLE_VALUES } = require('../native/layout')
const RowStream = require('./row-stream')

/** Nodes requested at a time: enough to keep the store busy, and a bound if peers have created very many heads. */
const AT_ONCE = 64

/** `emitter._hyperlog`: the log as 1.x's code reads it, nodes with their whole values. */
class Hyperlog {
  #reader
  #rows
  #state

  /**
   * @param {import('./reader')} reader
   * @param {import('./row-source')} rows
   * @param {import('../lifecycle/store-state')} state
   */
  constructor (reader, rows, state) {
    this.#reader = reader
    this.#rows = rows
    this.#state = state
  }

  /** Id of the local log; null before the store is open. */
  get id () {
    return this.#state.logId
  }

  /** The last change stored. */
  get changes () {
    return this.#state.lastChange()
  }

  /** `callback()` once the store is open. */
  ready (callback) {
    return promised(callback, (done) => this.#state.ready.then(() => done(), done))
  }

  /** The node with a key: `callback(err, node)` or a promise; a missing one is an error with `notFound`. */
  get (key, opts, callback) {
    if (typeof opts === 'function') callback = opts
    return promised(callback, (done) => settle(this.#nodeWith(key), done))
  }

  async #nodeWith (key) {
    const node = await this.#reader.get(key)
    if (node === undefined) throw noSuchNode(key)
    return node
  }

  /** Nodes that nothing links to: `callback(err, nodes)` or a promise. */
  heads (opts, callback) {
    if (typeof opts === 'function') callback = opts
    return promised(callback, (done) => settle(this.#headNodes(), done))
  }

  async #headNodes () {
    const nodes = []
    const heads = await this.#reader.heads()
    for (let at = 0; at < heads.length; at += AT_ONCE) {
      nodes.push(...await Promise.all(heads.slice(at, at + AT_ONCE).map(({ key }) => this.#reader.get(key))))
    }
    return nodes
  }

  /**
   * Nodes in order of change.
   *
   * @param {{ since?: number, until?: number, limit?: number, live?: boolean, reverse?: boolean }} [opts]
   */
  createReadStream ({ since = 0, until = Infinity, limit = Infinity, live = false, reverse = false } = {}) {
    if (live && reverse) throw liveAndReverse('a read stream')
    const bounds = { since, until, limit: limit === -1 ? Infinity : limit, live, reverse, wants: WHOLE_VALUES }
    return new NodeStream(this.#rows, this.#state, bounds)
  }
}

/** Nodes of the log, with their whole values. */
class NodeStream extends Readable {
  #source
  #state
  #bounds
  /** Undefined if the emitter was closed before it had opened. */
  #rows

  /**
   * @param {import('./row-source')} source
   * @param {import('../lifecycle/store-state')} state
   * @param {import('./row-stream').Bounds} bounds
   */
  constructor (source, state, bounds) {
    super({ objectMode: true })
    this.#source = source
    this.#state = state
    this.#bounds = bounds
    if (state.closing) this.destroy(closed())
  }

  _construct (done) {
    const begin = () => {
      this.#rows = new RowStream(this.#source, this.#state.lastChange(), this.#bounds)
      done()
    }
    // If the emitter was closed before it had opened, a live reader has nothing to wait for.
    const fail = (error) => this.#bounds.live && this.#state.closing ? done() : done(error)
    this.#state.ready.then(begin, fail)
  }

  _read () {
    if (this.#rows === undefined) this.push(null)
    else this.#rows.fill(this, (row) => row.node())
  }

  _destroy (error, done) {
    this.#rows?.end()
    done(error)
  }
}

/** Calls back outside the promise, so that an exception of the callback does not reject it. */
function settle (promise, done) {
  promise.then((value) => process.nextTick(done, null, value), (error) => process.nextTick(done, error))
}

module.exports = Hyperlog
