'use strict'

/** Schedules turns of the pump, one at a time. */
class TurnScheduler {
  constructor () {
    this.scheduled = false
    /**
     * Set once by the wiring: what the pump drives needs the scheduler first.
     *
     * @type {import('./pump')}
     */
    this.pump = undefined
    this.turn = () => {
      this.scheduled = false
      this.pump.turn()
    }
  }

  /** There is something to take from the native half, or to go on with. */
  schedule () {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.turn)
  }
}

module.exports = TurnScheduler
