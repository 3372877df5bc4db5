'use strict'

/** The longest possible interval: the timer only keeps the process alive. */
const FOREVER = 2 ** 31 - 1

/** Active holds. They refer to their emitters, so these are not garbage-collected. */
const active = new Set()

/** Keeps the process, and the emitter, alive while there is work under way, and only then. */
class ProcessHold {
  constructor () {
    /** @type {{ busy: boolean }[]} */
    this.parts = []
    this.timer = setInterval(nothing, FOREVER)
    this.active = true
    active.add(this)
  }

  /**
   * @param {{ busy: boolean }[]} parts the process is held while one of them is busy; they are checked in this order each time
   */
  holdWhileBusy (parts) {
    this.parts = parts
  }

  /** Checks again whether any part is busy. */
  refresh () {
    const busy = this.parts.some(isBusy)
    if (busy === this.active) return
    this.active = busy
    if (busy) {
      active.add(this)
      this.timer.ref()
    } else {
      active.delete(this)
      this.timer.unref()
    }
  }

  /** Ends the hold for good. */
  end () {
    active.delete(this)
    clearInterval(this.timer)
  }
}

function isBusy (part) {
  return part.busy
}

/** Defined here, because a function created in the constructor would keep the hold, and with it the emitter, in memory. */
function nothing () {}

module.exports = ProcessHold
