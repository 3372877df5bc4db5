'use strict'

/** The way from the native half, which outlives the emitter, to the emitter's next turn: through a weak reference. */
class Doorbell {
  constructor () {
    this.target = undefined
    // The native half keeps this function. It must refer to nothing but the doorbell.
    this.ring = () => this.target?.deref()?.schedule()
  }

  /** @param {import('./turn-scheduler')} scheduler rung for as long as somebody else refers to it */
  ringForEmitter (scheduler) {
    this.target = new WeakRef(scheduler)
  }

  /** @param {{ schedule: () => void }} heir rung from now on, for an emitter that is gone */
  ringFor (heir) {
    this.target = { deref: () => heir }
  }
}

module.exports = Doorbell
