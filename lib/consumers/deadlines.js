'use strict'

/** Deadlines for things that may each take the same time, with one timer for all. */
class Deadlines {
  /**
   * @param {number} timeout milliseconds; `Infinity` for ever
   * @param {(late: *) => void} expire called with each thing that was not over in time
   */
  constructor (timeout, expire) {
    this.timeout = timeout
    this.expire = expire
    /** The things under way, oldest first, each with its deadline. */
    this.waiting = new Map()
    this.timer = undefined
    this.isExpiring = false
    this.check = () => this.expireLate()
  }

  add (what) {
    if (this.timeout === Infinity) return
    this.waiting.set(what, performance.now() + this.timeout)
    // After expiring, the timer is set for whatever is left.
    if (this.isExpiring) return
    if (this.timer === undefined) this.timer = setTimeout(this.check, this.timeout)
    else if (this.waiting.size === 1) this.timer.ref()
  }

  delete (what) {
    // With nothing under way the timer must not keep the process alive.
    if (this.waiting.delete(what) && this.waiting.size === 0 && this.timer !== undefined) this.timer.unref()
  }

  expireLate () {
    this.timer = undefined
    this.isExpiring = true
    const now = performance.now()
    for (const [what, deadline] of this.waiting) {
      if (deadline > now) break
      this.waiting.delete(what)
      this.expire(what)
    }
    this.isExpiring = false
    const [next] = this.waiting.values()
    // A timer may fire a fraction of a millisecond early.
    if (next !== undefined) this.timer = setTimeout(this.check, Math.max(next - now, 1))
  }

  end () {
    this.waiting.clear()
    clearTimeout(this.timer)
  }
}

module.exports = Deadlines
