'use strict'

/** The longest possible interval: the timer only keeps the process alive. */
const FOREVER = 2 ** 31 - 1

/** Holds that are active. What they refer to, the whole emitter, is not collected meanwhile. */
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

  /** @param {{ busy: boolean }[]} parts hold the process while one of them is busy; asked in this order, each time */
  holdWhileBusy (parts) {
    this.parts = parts
  }

  /** Asks again whether anything is under way. */
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

  /** Lets the process go, for good. */
  end () {
    active.delete(this)
    clearInterval(this.timer)
  }
}

function isBusy (part) {
  return part.busy
}

/** Out here: a timer's function made in the constructor would keep the hold, and with it the emitter, in memory. */
function nothing () {}

module.exports = ProcessHold
