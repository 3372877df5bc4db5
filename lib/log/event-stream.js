'use strict'

const { Duplex } = require('node:stream')

const { asError, badStreamStart, beyondEnd, closed, undecodable } = require('../errors')
const { isCursor } = require('./query')
const { readCursor } = require('./portable-cursor')
const RowStream = require('./row-stream')

/** The high-water mark of both sides, as in 1.x. */
const HIGH_WATER = 16

/** Writes in progress before the next one waits: enough to fill a group commit, few enough to exert back-pressure. */
const MAX_WRITES = 256

/**
 * `emitter.stream()`: emits what is written, and reads stored events as `{ name, payload }`, from now on or from some change.
 * It is live: both sides end when the emitter closes. A listener that does not answer does not stop it.
 */
class EventStream extends Duplex {
  #emitter
  #codecs
  #state
  #status
  /** Undefined until it is known where to start. */
  #rows
  /** Cancels waiting for the event after which it starts. */
  #giveUp
  /** Whether there was a read before that. */
  #readEarly = false
  #writes = 0
  #blocked
  #finish
  #inWrite = false
  #fault
  /** Streams that are piped into this one. */
  #sources = 0

  /**
   * @param {object} emitter writes go through its `emit`, which may be overridden
   * @param {object} parts
   * @param {import('../emitting/emit-path')} parts.emits
   * @param {import('../emitting/event-codecs')} parts.codecs
   * @param {import('./row-source')} parts.rows
   * @param {import('./arrivals')} parts.arrivals
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../status')} parts.status
   * @param {{ from?: 'beginning' | number | string | import('./portable-cursor').PortableCursor }} [opts]
   */
  constructor (emitter, { emits, codecs, rows, arrivals, state, status }, opts) {
    super({ objectMode: true, highWaterMark: HIGH_WATER })
    this.on('pipe', () => { this.#sources++ })
    this.on('unpipe', () => { this.#sources-- })
    this.#emitter = emitter
    this.#codecs = codecs
    this.#state = state
    this.#status = status
    const from = opts?.from
    if (typeof from === 'number' && !(Number.isSafeInteger(from) && from >= 0)) throw badStreamStart(from)
    if (state.closing) {
      this.destroy(closed())
      return
    }
    const cursor = from !== 'beginning' && isCursor(from) ? readCursor('from', from) : undefined
    const beginAt = (since) => {
      this.#rows = new RowStream(rows, since, { since, live: true })
      if (this.#readEarly) this._read()
    }
    const begin = (now) => {
      if (cursor !== undefined) {
        const found = (error, change) => error ? this.#notOpened(error) : beginAt(change)
        this.#giveUp = arrivals.find(cursor, { wait: true }, found)
        return
      }
      if (from > now) status.warn(beyondEnd('from', from, now))
      beginAt(from === 'beginning' ? 0 : typeof from === 'number' ? from : now)
    }
    if (state.openedAt !== undefined) {
      begin(state.lastChange())
    } else {
      // Events that were emitted before this call are not new, even if they are stored only after the store has opened.
      emits.afterEmits((stored) => state.ready.then(() => begin(state.openedAt + stored), (error) => this.#notOpened(error)))
    }
  }

  /**
   * If the event cannot be emitted, throws at once, as `emit` does; the stream stays usable. If a stream is piped into this one,
   * nobody could catch that, so this one is destroyed with the error instead.
   */
  write (...args) {
    this.#inWrite = true
    let more
    try {
      more = super.write(...args)
    } finally {
      this.#inWrite = false
    }
    this.#raise()
    return more
  }

  end (...args) {
    this.#inWrite = true
    try {
      super.end(...args)
    } finally {
      this.#inWrite = false
    }
    this.#raise()
    return this
  }

  #raise () {
    const fault = this.#fault
    if (fault === undefined) return
    this.#fault = undefined
    throw fault.thrown
  }

  _write (event, _encoding, next) {
    try {
      const { name, payload, tags } = event
      const written = (error) => this.#written(error)
      // An overridden `emit` may take only three parameters.
      if (tags === undefined) this.#emitter.emit(name, payload, written)
      else this.#emitter.emit(name, payload, { tags }, written)
    } catch (thrown) {
      if (!this.#inWrite || this.#sources > 0) return next(asError(thrown))
      this.#fault = { thrown }
      return next()
    }
    if (++this.#writes < MAX_WRITES) next()
    else this.#blocked = next
  }

  #written (error) {
    this.#writes--
    if (error) {
      this.destroy(error)
      return
    }
    const next = this.#blocked
    this.#blocked = undefined
    next?.()
    if (this.#writes === 0) this.#finish?.()
  }

  /** Finishes when everything written is durable. */
  _final (done) {
    if (this.#writes === 0) done()
    else this.#finish = done
  }

  _read () {
    if (this.#rows === undefined) this.#readEarly = true
    else this.#rows.fill(this, (row) => this.#eventOf(row), () => this.#endBoth())
  }

  /** Handles a store that cannot be opened, or an emitter that was closed before. */
  #notOpened (error) {
    if (this.#state.closing) this.#endBoth()
    else this.destroy(error)
  }

  /**
   * Ends both sides when the emitter closes. Everything written is stored by then; rows that were fetched can still be read.
   */
  #endBoth () {
    if (this.destroyed) return
    this.allowHalfOpen = false
    this.push(null)
  }

  #eventOf (row) {
    const { name } = row
    if (name === undefined) return undefined
    try {
      const { tags } = row
      const payload = this.#codecs.decode(name, row.bytes, row.start, row.end, row.encoding, row.change)
      return tags.length > 0 ? { name, payload, tags } : { name, payload }
    } catch (cause) {
      this.#status.warn(undecodable(cause, name, row.change))
      return undefined
    }
  }

  _destroy (error, done) {
    this.#giveUp?.()
    this.#rows?.end()
    done(error)
  }
}

module.exports = { EventStream }
