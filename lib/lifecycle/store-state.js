'use strict'

const { quiet } = require('../callback')

/** The state of the store, from opening to closed. */
class StoreState {
  /**
   * @param {object} core the native half
   * @param {boolean} readOnly
   */
  constructor (core, readOnly) {
    this.core = core
    /** Whether the store is only read, while another process may write it. */
    this.readOnly = readOnly
    this.opening = true
    /** Why the store could not be opened. */
    this.failed = undefined
    /** Id of the local log; null before the store is open. */
    this.logId = null
    /** The last change when the store was opened; undefined before. */
    this.openedAt = undefined
    /** Whether `close` has been called. */
    this.closing = false
    this.closed = false
    /** Whether a user waits for {@link ready}, and so learns of a failure. */
    this.readyAsked = false
    /** Resolves when the store is open; rejects when it cannot be opened, or is closed before. */
    this.ready = quiet(new Promise((resolve, reject) => {
      this.settleReady = (error) => error ? reject(error) : resolve()
    }))
  }

  /** {@link ready} for a user. */
  askReady () {
    this.readyAsked = true
    return this.ready
  }

  opened (logId, lastChange) {
    this.opening = false
    this.logId = logId
    this.openedAt = lastChange
  }

  failedToOpen (error) {
    this.opening = false
    this.failed = error
  }

  /** The last change stored; 0 before the store is open. */
  lastChange () {
    // The notice `ready` comes a moment before the native half can use the log.
    return Math.max(this.core.changes(), this.openedAt ?? 0)
  }

  /** Whether the store is being opened or closed, which the process waits for. */
  get busy () {
    return this.opening || this.closing !== this.closed
  }
}

module.exports = StoreState
