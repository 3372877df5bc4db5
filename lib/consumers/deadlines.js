'use strict'

/** Ticks per timeout. */
const TICKS = 10

/** Longest tick, in milliseconds. */
const LONGEST_TICK = 1000

/**
 * Time limits of attempts. Time is counted in ticks, so a limit takes effect up to one tick late. A late tick counts no more than
 * others: time during which the event loop is blocked does not count, because nothing can be answered meanwhile.
 *
 * A limit is only a number in its item, because every entry has an attempt, whose start and end must cost little. Each tick looks
 * at all items.
 */
class Deadlines {
  /**
   * @param {object} parts
   * @param {number} parts.timeout milliseconds; `Infinity` for ever
   * @param {() => Iterable<import('./item')>} parts.items those that may have a limit, among others
   * @param {(item: import('./item')) => void} parts.expire called with each item that was not over in time
   */
  constructor ({ timeout, items, expire }) {
    this.timeout = timeout
    this.items = items
    this.expire = expire
    this.tick = Math.min(Math.ceil(timeout / TICKS), LONGEST_TICK)
    /** Milliseconds of all ticks. */
    this.counted = 0
    /** How many items have a limit. */
    this.running = 0
    this.timer = undefined
    this.expiring = undefined
    this.count = () => this.countTick()
    this.expireLate = () => this.expireAll()
  }

  add (item) {
    if (this.timeout === Infinity) return
    item.due = this.counted + this.timeout + this.tick
    if (this.running++ > 0) return
    if (this.timer !== undefined) this.timer.ref()
    else if (this.expiring === undefined) this.wait()
  }

  delete (item) {
    if (item.due === 0) return
    item.due = 0
    // With nothing under way, the timer must not keep the process alive.
    if (--this.running === 0) this.timer?.unref()
  }

  wait () {
    this.timer = setTimeout(this.count, this.tick)
  }

  countTick () {
    this.counted += this.tick
    this.timer = undefined
    // If the loop was blocked until now, answers that have arrived meanwhile come first.
    if (this.running > 0) this.expiring = setImmediate(this.expireLate)
  }

  expireAll () {
    const late = []
    for (const item of this.items()) if (item.due > 0 && item.due <= this.counted) late.push(item)
    for (const item of late) if (item.due > 0) this.expire(item)
    this.expiring = undefined
    if (this.running > 0) this.wait()
  }

  end () {
    clearTimeout(this.timer)
    clearImmediate(this.expiring)
  }
}

module.exports = Deadlines
