'use strict'

/** Calls that wait until the schema has been read from its stream. They run in the order in which they were made. */
class DeferredQueue {
  constructor () {
    /** Whether calls have to wait; `defer` and `release` change it. */
    this.deferring = false
    this.calls = []
  }

  /** Whether the process has to be kept alive for waiting calls. */
  get busy () {
    return this.deferring
  }

  get length () {
    return this.calls.length
  }

  /** Makes calls wait from now on. */
  defer () {
    this.deferring = true
  }

  /** @param {(fault?: Error) => void} call runs when it is released; `fault` says why it cannot succeed */
  add (call) {
    this.calls.push(call)
  }

  /** Runs the waiting calls. Later calls do not wait. */
  release (fault) {
    this.deferring = false
    for (const call of this.calls.splice(0)) call(fault)
  }
}

module.exports = DeferredQueue
