'use strict'

/**
 * An emitter that nobody refers to any more, and that nobody closed, is closed once it has been collected. So nothing that
 * lives on may hold it, but while it has work to do: then the set of those at work does.
 */

/** Emitters' parts that hold the process, and are not collected meanwhile. */
const working = new Set()

/** The id of the request to close that stands for an emitter that is gone. Nobody else's are answered any more. */
const CLOSE = 1

/** The way from the native half, which lives on, to the emitter's loop, which may be collected. */
class Bell {
  constructor () {
    this.target = undefined
    // Bound to the bell alone.
    this.ring = () => this.target?.deref()?.wake()
  }

  /** From now on it rings for `loop`. */
  answeredBy (loop) {
    this.target = new WeakRef(loop)
  }

  /** From now on it rings for what closes the native half. */
  inherit (heir) {
    this.target = { deref: () => heir }
  }
}

/** Closes the native half of an emitter that is gone. */
class Undertaker {
  constructor (core) {
    this.core = core
    // A ring that nobody heard is still to be answered; there is no other one before.
    core.takeNotices()
    core.close(CLOSE)
  }

  /** The bell has rung: nothing of what it tells matters but that the store is closed. */
  wake () {
    const closed = this.core.takeNotices().some(({ kind, id }) => kind === 'answer' && id === CLOSE)
    if (closed) this.core.release()
  }
}

/** Emitters that nobody has closed yet. What is held of them here knows nothing of the emitter. */
const unclosed = new FinalizationRegistry(({ core, bell, timer, store }) => {
  clearInterval(timer)
  // A database of the user's that nobody asked us to close may be in use.
  store.keepOpen = true
  bell.inherit(new Undertaker(core))
})

module.exports = { Bell, working, unclosed }
