'use strict'

/** How often, per timeout, it is checked whether the event loop was blocked. */
const TICKS = 10

/** Longest time between two such checks, in milliseconds. */
const LONGEST_TICK = 1000

/**
 * Deadlines for work that all has the same time limit, with one timer. Time during which the event loop is blocked does not
 * count, because nothing can be answered meanwhile: a late tick counts only as long as it was planned to take.
 */
class Deadlines {
  /**
   * @param {number} timeout milliseconds; `Infinity` for ever
   * @param {(late: *) => void} expire called with each thing that was not over in time
   */
  constructor (timeout, expire) {
    this.timeout = timeout
    this.expire = expire
    this.tick = Math.min(Math.ceil(timeout / TICKS), LONGEST_TICK)
    /** The things under way, oldest first, each with its deadline, by {@link now}. */
    this.waiting = new Map()
    /** Milliseconds that counted up to the last tick, when that was, and how long after it the next one is due. */
    this.counted = 0
    this.since = 0
    this.planned = 0
    this.timer = undefined
    /** Whether things are about to expire. */
    this.expiring = undefined
    this.count = () => this.countTick()
    this.expireLate = () => this.expireAll()
  }

  /** Milliseconds that count. */
  get now () {
    return this.counted + Math.min(performance.now() - this.since, this.planned)
  }

  add (what) {
    if (this.timeout === Infinity) return
    if (this.timer === undefined && this.expiring === undefined) this.wait(this.tick)
    else if (this.waiting.size === 0) this.timer?.ref()
    this.waiting.set(what, this.now + this.timeout)
  }

  delete (what) {
    // With nothing under way the timer must not keep the process alive.
    if (this.waiting.delete(what) && this.waiting.size === 0) this.timer?.unref()
  }

  wait (ms) {
    this.since = performance.now()
    this.planned = ms
    this.timer = setTimeout(this.count, ms)
  }

  countTick () {
    this.counted += this.planned
    this.planned = 0
    this.timer = undefined
    const [next] = this.waiting.values()
    if (next === undefined) return
    // If the loop was blocked until now, answers that have arrived meanwhile come first.
    if (next <= this.counted) this.expiring = setImmediate(this.expireLate)
    else this.wait(Math.min(this.tick, next - this.counted))
  }

  expireAll () {
    for (const [what, deadline] of this.waiting) {
      if (deadline > this.counted) break
      this.waiting.delete(what)
      this.expire(what)
    }
    this.expiring = undefined
    if (this.waiting.size > 0) this.wait(this.tick)
  }

  end () {
    this.waiting.clear()
    clearTimeout(this.timer)
    clearImmediate(this.expiring)
  }
}

module.exports = Deadlines
