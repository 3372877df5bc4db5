'use strict'

/**
 * Closes the native half of an emitter that was garbage-collected without having been closed. So nothing that outlives the
 * emitter may refer to it, except while it is busy (process-hold.js).
 */

/** The id of the close request for an emitter that is gone. It is the only request that is still answered. */
const CLOSE = 1

/** Closes the native half of an emitter that is gone. */
class AbandonedCore {
  constructor (core) {
    this.core = core
    // The doorbell rings again only after the last ring has been answered, which may not have happened.
    core.takeNotices()
    core.close(CLOSE)
  }

  /** Called when the doorbell rings. Only the notice that the store is closed matters. */
  schedule () {
    const closed = this.core.takeNotices().some(({ kind, id }) => kind === 'answer' && id === CLOSE)
    if (closed) this.core.release()
  }
}

/**
 * Emitters that have not been closed yet. The data registered for an emitter must not refer to it: `{ core, doorbell, timer,
 * database }`.
 */
const unclosed = new FinalizationRegistry(({ core, doorbell, timer, database }) => {
  clearInterval(timer)
  // The user's database may be in use, and nobody asked to close it.
  database.keepOpen = true
  doorbell.ringFor(new AbandonedCore(core))
})

module.exports = { unclosed }
