'use strict'

const { beginBatch } = require('../codec')
const Cursor = require('../log/cursor')

/** Milliseconds until a store that could not be read is asked again. */
const RETRY = 1000

/**
 * A listener that has paused, alone: delivery to the others goes on, and once it resumes it hears from the log what it has
 * missed, until it has come as far as they have.
 */
class PausedListener {
  /**
   * @param {object} parts
   * @param {import('./listeners').Entry} parts.entry the listener's registration
   * @param {number} parts.after the change it heard last
   * @param {import('./dispatcher')} parts.dispatcher
   * @param {import('../log/row-source')} parts.rows
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../status')} parts.status
   */
  constructor ({ entry, after, dispatcher, rows, state, status }) {
    this.entry = entry
    this.after = after
    this.dispatcher = dispatcher
    this.rows = rows
    this.state = state
    this.status = status
    this.paused = true
    this.ended = false
    /** Fetching, or handing over. */
    this.catchingUp = false
    // Delivery passes over it.
    entry.since = Infinity
    entry.paused = this
  }

  pause () {
    this.paused = true
  }

  /** Goes on, unless it does already. */
  resume () {
    this.paused = false
    if (!this.catchingUp) this.catchUp()
  }

  /** The listener has been removed: nobody has to wait for its resume. */
  leave () {
    this.end()
    this.dispatcher.resumeListeners()
  }

  end () {
    this.ended = true
    this.entry.paused = undefined
    this.dispatcher.forgetPaused(this)
  }

  /** Fetches the next rows that it has missed; without any it hears what all hear again. */
  catchUp () {
    const { dispatcher } = this
    if (this.held) return
    if (this.after >= dispatcher.change) {
      this.entry.since = dispatcher.change + 1
      this.end()
      return
    }
    this.catchingUp = true
    new Cursor(this.rows, { from: this.after }).fetch((error, rows) => {
      if (error) this.retry(error)
      else this.handOver(rows)
    })
  }

  /** Nothing may be handed over. */
  get held () {
    const { dispatcher } = this
    return this.ended || this.paused || dispatcher.paused || dispatcher.stopped
  }

  handOver (rows) {
    const { dispatcher } = this
    beginBatch(rows.bytes, rows.bytes.length)
    let interrupted = true
    try {
      while (!this.held && this.after < dispatcher.change && rows.advance()) {
        this.after = rows.change
        if (rows.name === this.entry.topic.name) dispatcher.callWithRow(this.entry, rows)
      }
      interrupted = false
    } finally {
      this.catchingUp = false
      // After an exception of the listener's, what follows comes in a turn of its own.
      if (interrupted) setImmediate(() => this.catchUp())
    }
    this.catchUp()
  }

  /** The store cannot be read now. */
  retry (error) {
    this.catchingUp = false
    if (this.state.closing) return
    setTimeout(() => this.catchUp(), RETRY).unref()
    this.status.warn(error)
  }
}

module.exports = PausedListener
