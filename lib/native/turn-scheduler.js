'use strict'

/** Schedules turns of the pump, one at a time. */
class TurnScheduler {
  constructor () {
    this.scheduled = false
    /**
     * Set once by the wiring, because the pump's parts need the scheduler first.
     *
     * @type {import('./pump')}
     */
    this.pump = undefined
    this.turn = () => {
      this.scheduled = false
      this.pump.turn()
    }
  }

  /** Schedules a turn, because something is to be taken from the native half or continued. */
  schedule () {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.turn)
  }
}

module.exports = TurnScheduler
