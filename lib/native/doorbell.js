'use strict'

/** Lets the native half, which outlives the emitter, schedule the emitter's next turn through a weak reference. */
class Doorbell {
  constructor () {
    this.target = undefined
    // The native half keeps this function, so it must refer only to the doorbell.
    this.ring = () => this.target?.deref()?.schedule()
  }

  /** @param {import('./turn-scheduler')} scheduler called as long as it is referenced elsewhere */
  ringForEmitter (scheduler) {
    this.target = new WeakRef(scheduler)
  }

  /** @param {{ schedule: () => void }} heir called from now on, because the emitter is gone */
  ringFor (heir) {
    this.target = { deref: () => heir }
  }
}

module.exports = Doorbell
