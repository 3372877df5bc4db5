'use strict'

const { beginBatch } = require('../codec')
const Cursor = require('../log/cursor')

/** Milliseconds until a failed read of the store is retried. */
const RETRY = 1000

/**
 * A listener that has paused alone, while delivery to the others continues. Once it resumes, it gets the events that it has
 * missed from the log, until it has caught up with the others.
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
    /** Whether it is fetching or handing over rows. */
    this.catchingUp = false
    // Delivery skips it.
    entry.since = Infinity
    entry.paused = this
  }

  pause () {
    this.paused = true
  }

  /** Starts to catch up, unless it already does. */
  resume () {
    this.paused = false
    if (!this.catchingUp) this.catchUp()
  }

  /** Called when the listener has been removed, so that its resume is no longer expected. */
  leave () {
    this.end()
    this.dispatcher.resumeListeners()
  }

  end () {
    this.ended = true
    this.entry.paused = undefined
    this.dispatcher.forgetPaused(this)
  }

  /** Fetches the next rows that it has missed. If there are none, it joins the others again. */
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

  /** Whether nothing may be handed over now. */
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
      // After an exception of the listener, the next rows are handed over in a new turn.
      if (interrupted) setImmediate(() => this.catchUp())
    }
    this.catchUp()
  }

  /** Retries later, because the store cannot be read now. */
  retry (error) {
    this.catchingUp = false
    if (this.state.closing) return
    setTimeout(() => this.catchUp(), RETRY).unref()
    this.status.warn(error)
  }
}

module.exports = PausedListener
