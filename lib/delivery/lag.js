'use strict'

const { beginBatch } = require('../codec')
const { Cursor } = require('../log/cursor')

/** Milliseconds until a store that could not be read is asked again. */
const RETRY = 1000

/**
 * A listener that has paused, alone: delivery to the others goes on, and once it resumes it hears from the log what it has
 * missed, until it has come as far as they have.
 */
class Lag {
  /**
   * @param {object} parts
   * @param {object} entry the listener's registration
   * @param {number} after the change it heard last
   */
  constructor (parts, entry, after) {
    this.parts = parts
    this.entry = entry
    this.after = after
    this.paused = true
    this.ended = false
    /** Fetching, or handing over. */
    this.busy = false
    // Delivery passes over it.
    entry.since = Infinity
    entry.lag = this
  }

  /** Goes on, unless it does already. */
  resume () {
    this.paused = false
    if (!this.busy) this.goOn()
  }

  /** The listener has been removed: nobody has to wait for its resume. */
  leave () {
    this.end()
    this.parts.dispatcher.release()
  }

  end () {
    this.ended = true
    this.entry.lag = undefined
    this.parts.dispatcher.lagging.delete(this)
  }

  goOn () {
    const { dispatcher } = this.parts
    if (this.held) return
    if (this.after >= dispatcher.change) {
      this.entry.since = dispatcher.change + 1
      this.end()
      return
    }
    this.busy = true
    new Cursor(this.parts, { from: this.after }).fetch((error, rows) => {
      if (error) this.fail(error)
      else this.pass(rows)
    })
  }

  /** Nothing may be handed over. */
  get held () {
    const { dispatcher } = this.parts
    return this.ended || this.paused || dispatcher.paused || dispatcher.stopped
  }

  pass (rows) {
    const { dispatcher } = this.parts
    beginBatch(rows.bytes, rows.bytes.length)
    let interrupted = true
    try {
      while (!this.held && this.after < dispatcher.change && rows.advance()) {
        this.after = rows.change
        if (rows.name === this.entry.topic.name) dispatcher.deliverTo(this.entry, rows)
      }
      interrupted = false
    } finally {
      this.busy = false
      // After an exception of the listener's, what follows comes in a turn of its own.
      if (interrupted) setImmediate(() => this.goOn())
    }
    this.goOn()
  }

  /** The store cannot be read now. */
  fail (error) {
    this.busy = false
    if (this.parts.closing) return
    setTimeout(() => this.goOn(), RETRY).unref()
    this.parts.warn(error)
  }
}

module.exports = Lag
