'use strict'

/**
 * Emitters that nobody refers to any more and that nobody closed: once such an emitter has been collected, its native half is
 * closed here. So nothing that outlives the emitter may refer to it, unless it is at work (process-hold.js).
 */

/** The id of the request to close that stands for an emitter that is gone. Nobody else's are answered any more. */
const CLOSE = 1

/** Closes the native half of an emitter that is gone. */
class AbandonedCore {
  constructor (core) {
    this.core = core
    // The doorbell rings again only when the last ring has been answered, and nobody may have heard that one.
    core.takeNotices()
    core.close(CLOSE)
  }

  /** The doorbell has rung. The only notice that matters is that the store is closed. */
  schedule () {
    const closed = this.core.takeNotices().some(({ kind, id }) => kind === 'answer' && id === CLOSE)
    if (closed) this.core.release()
  }
}

/**
 * Emitters that nobody has closed yet. What is registered with one must not refer to it:
 * `{ core, doorbell, timer, database }`.
 */
const unclosed = new FinalizationRegistry(({ core, doorbell, timer, database }) => {
  clearInterval(timer)
  // A database of the user's that nobody asked us to close may be in use.
  database.keepOpen = true
  doorbell.ringFor(new AbandonedCore(core))
})

module.exports = { unclosed }
