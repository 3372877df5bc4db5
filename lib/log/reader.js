'use strict'

const { authorOf } = require('../trust/logs')
const { beyondEnd, closed, eventMissing, notAKey, undecodable } = require('../errors')
const { promisedAnswer, quiet, rejected } = require('../callback')
const checkQuery = require('./query')
const { textOf } = require('./portable-cursor')
const RowStream = require('./row-stream')

/** The prototype of all async generators, with the original `return` and `throw`. */
const LEAVING = Object.getPrototypeOf(Object.getPrototypeOf(async function * () {}()))

/** Reads stored events. */
class Reader {
  /**
   * @param {object} parts
   * @param {object} parts.core the native half
   * @param {import('../native/requests')} parts.requests
   * @param {import('./row-source')} parts.rows
   * @param {import('./arrivals')} parts.arrivals
   * @param {import('../emitting/event-codecs')} parts.codecs
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../status')} parts.status
   */
  constructor ({ core, requests, rows, arrivals, codecs, state, status }) {
    this.core = core
    this.requests = requests
    this.rows = rows
    this.arrivals = arrivals
    this.codecs = codecs
    this.state = state
    this.status = status
  }

  /**
   * @typedef {object} Entry one stored event
   * @property {number} change its number in this store, from 1
   * @property {string} cursor identifies it at every emitter
   * @property {string} key
   * @property {string} log id of its log
   * @property {number} seq its number in that log, from 1
   * @property {number} [time] milliseconds since 1970 at its emitter; absent on events of 1.x
   * @property {string[]} links keys of its causes
   * @property {string} [name] absent when the node holds no event
   * @property {*} [payload] decoded; absent when there is no codec, or it does not decode
   * @property {Buffer} [raw] in place of the payload
   * @property {Error} [error] why it does not decode
   *
   * @param {object} [opts] see {@link checkQuery}
   * @returns {AsyncGenerator<Entry>}
   */
  read (opts) {
    const exit = { left: false, leave: undefined, after: undefined }
    const entries = this.iterate(checkQuery(opts), exit)
    // The change up to which all wanted entries have been returned.
    Object.defineProperty(entries, 'after', { get: () => exit.after, enumerable: true })
    // A generator's own `return` and `throw` wait for the pending `next`, which may take for ever at the end of a live log.
    for (const method of ['return', 'throw']) {
      entries[method] = (value) => {
        exit.left = true
        exit.leave?.()
        return LEAVING[method].call(entries, value)
      }
    }
    return entries
  }

  /**
   * @param {import('./query').Query} query
   * @param {{ left: boolean, leave?: () => void, after?: number }} exit `left`: whether the reader wants no more; `leave`
   *   interrupts waiting; `after`: the change up to which everything has been returned
   */
  async * iterate ({ raw, signal, cursor, ...bounds }, exit) {
    const { state } = this
    if (state.closing) throw closed()
    if (bounds.limit === 0 || bounds.until <= bounds.since) return
    /** @type {RowStream | undefined} */
    let stream
    let interrupt
    let giveUp
    // Only one listener for the whole iteration, because a signal may live as long as the process.
    const abort = () => {
      stream?.end()
      giveUp?.()
      interrupt?.()
    }
    const orAborted = async (start) => {
      signal?.throwIfAborted()
      await new Promise((resolve, reject) => {
        interrupt = resolve
        start(resolve, reject)
      })
      signal?.throwIfAborted()
    }
    exit.leave = abort
    signal?.addEventListener('abort', abort, { once: true })
    try {
      await orAborted((resolve, reject) => state.ready.then(resolve, reject))
      if (exit.left) return
      if (cursor !== undefined) {
        await orAborted((resolve, reject) => {
          const refusal = (why) => eventMissing('since', cursor, why)
          giveUp = this.arrivals.find(cursor, { wait: bounds.live, refusal }, (error, change) => {
            bounds.since = change
            if (!error) resolve()
            else if (bounds.live && state.closing) resolve(exit.left = true)
            else reject(error)
          })
        })
        if (exit.left) return
      }
      this.checkStart(bounds)
      const last = state.lastChange()
      exit.after = bounds.reverse ? Math.min(last, bounds.until) : bounds.since
      stream = new RowStream(this.rows, last, bounds)
      while (!stream.ended) {
        await orAborted((resolve, reject) => stream.fetch((error) => error ? reject(error) : resolve()))
        while (stream.advance()) {
          if (!bounds.reverse) exit.after = stream.row.change
          yield this.entryOf(stream.row, raw)
          signal?.throwIfAborted()
        }
        if (!bounds.reverse && stream.left > 0) exit.after = Math.max(exit.after, Math.min(stream.cursor.from, bounds.until))
      }
    } finally {
      stream?.end()
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Refuses a start beyond the end of the log: the reader would silently miss the events up to there. */
  checkStart ({ since, live }) {
    const last = this.state.lastChange()
    if (since <= last) return
    const error = beyondEnd('since', since, last)
    if (!live) throw error
    this.status.warn(error)
  }

  /** @returns {Entry} */
  entryOf (row, raw) {
    const { key, log, seq } = row
    const entry = {
      change: row.change,
      cursor: textOf(log, seq, key),
      key,
      log,
      seq,
      time: row.time,
      links: row.causes,
      name: row.name
    }
    const { tags } = row
    if (tags.length > 0) entry.tags = tags
    const author = authorOf(log)
    if (author !== undefined) entry.author = author
    if (raw || !row.isEvent || this.codecs.of(entry.name) === undefined) {
      entry.raw = row.body
      return entry
    }
    try {
      entry.payload = this.codecs.decode(entry.name, row.bytes, row.start, row.end, row.encoding, entry.change)
    } catch (error) {
      entry.raw = row.body
      entry.error = undecodable(error, entry.name, entry.change)
    }
    return entry
  }

  /** The node with a key, as 1.x's hyperlog gives nodes; undefined if there is none. */
  get (key) {
    if (typeof key !== 'string' || !/^[0-9a-f]{64}$/.test(key)) return rejected(notAKey(key))
    return quiet(new Promise((resolve, reject) => {
      this.rows.node(key, (error, node) => error ? reject(error) : resolve(node))
    }))
  }

  /** The heads, nodes that no other node links to: their changes, keys, logs and seqs. */
  heads () {
    return promisedAnswer(this.requests, (id) => this.core.askHeads(id), ({ text }) => JSON.parse(text))
  }

  /** A digest over all logs. */
  digest () {
    return promisedAnswer(this.requests, (id) => this.core.askDigest(id), ({ text }) => text)
  }
}

module.exports = Reader
