'use strict'

const { Duplex } = require('node:stream')

const { beginBatch } = require('../codec')
const { asError, badArgument, beyond, closed, undecodable } = require('../errors')
const { Cursor } = require('./cursor')

/** As in 1.x, on both sides. */
const HIGH_WATER = 16

/** Writes under way before the next one waits. Enough to fill a group commit, little enough to be back-pressure. */
const MAX_WRITES = 256

/**
 * `emitter.stream()`: writes are emitted, reads are what is stored, `{ name, payload }`, from now on or from some change.
 * It is live: it ends when the emitter closes, both sides. A listener that does not answer does not stop it.
 */
class EventStream extends Duplex {
  #parts
  #emitter
  #cursor
  #rows
  #fetching = false
  #writes = 0
  #blocked
  #finish
  #inWrite = false
  #fault

  constructor (emitter, parts, opts) {
    super({ objectMode: true, highWaterMark: HIGH_WATER })
    this.#emitter = emitter
    this.#parts = parts
    const from = opts?.from
    if (typeof from === 'number' && !(Number.isSafeInteger(from) && from >= 0)) {
      throw badArgument(`from must be 'beginning' or a change number, not ${from}`, RangeError)
    }
    if (parts.closing) {
      this.destroy(closed())
      return
    }
    const begin = (now) => {
      if (from > now) parts.warn(beyond('from', from, now))
      const after = from === 'beginning' ? 0 : typeof from === 'number' ? from : now
      this.#cursor = new Cursor(parts, { from: after, live: true })
      if (this.#fetching) this.#fetch()
    }
    if (parts.openedAt !== undefined) {
      begin(parts.lastChange())
    } else {
      // What was emitted before this call is no news, although it is stored only after the opening.
      parts.afterEmits((stored) => parts.ready.then(() => begin(parts.openedAt + stored), (error) => this.#fail(error)))
    }
  }

  /** Throws the faults of the event at once, as `emit` does, and stays usable. */
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
      this.#emitter.emit(event.name, event.payload, (error) => this.#written(error))
    } catch (thrown) {
      if (!this.#inWrite) return next(asError(thrown))
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

  /** Finished when everything written is durable. */
  _final (done) {
    if (this.#writes === 0) done()
    else this.#finish = done
  }

  _read () {
    if (this.#rows !== undefined) this.#pass()
    else if (!this.#fetching) this.#fetch()
  }

  #fetch () {
    this.#rows = undefined
    this.#fetching = true
    this.#cursor?.fetch((error, rows) => {
      this.#fetching = false
      if (this.destroyed) return
      if (error) return this.destroy(error)
      if (rows === undefined) return this.#leave()
      this.#rows = rows
      beginBatch(rows.bytes, rows.bytes.length)
      this.#pass()
    })
  }

  /** The store cannot be opened, or the emitter was closed before it was. */
  #fail (error) {
    if (this.#parts.closing) this.#leave()
    else this.destroy(error)
  }

  /** The emitter closes. What is written is stored by then; what was read is still to be had. */
  #leave () {
    if (this.destroyed) return
    this.allowHalfOpen = false
    this.push(null)
  }

  #pass () {
    const rows = this.#rows
    while (rows.advance()) {
      const event = this.#decode(rows)
      if (event !== undefined && !this.push(event)) return
    }
    // A reader inside `push` may have come here first.
    if (this.#rows === rows) this.#fetch()
  }

  #decode (rows) {
    const { name } = rows
    if (name === undefined) return undefined
    try {
      return { name, payload: this.#parts.decode(name, rows.bytes, rows.start, rows.end, rows.encoding) }
    } catch (cause) {
      this.#parts.warn(undecodable(cause, name, rows.change))
      return undefined
    }
  }

  _destroy (error, done) {
    this.#cursor?.end()
    this.#rows = undefined
    done(error)
  }
}

module.exports = { EventStream }
