'use strict'

const { inContext } = require('../async-context')
const Rows = require('../native/rows')

/** Rows, and bytes of their values, fetched at a time. */
const ROWS = 1024
const BYTES = 256 * 1024

/** Waiting for the log to grow: one question to the native half serves all who wait. */
class Growth {
  constructor (parts) {
    this.parts = parts
    this.waiting = new Set()
    this.asked = false
  }

  /** Calls back once the log ends after `after`; `callback(error)` when the emitter closes. Returns how to give up. */
  wait (after, callback) {
    const waiter = { after, callback: inContext(callback) }
    this.waiting.add(waiter)
    this.ask()
    return () => this.waiting.delete(waiter)
  }

  /** Whether what somebody waits for is there, and only has to arrive. */
  get behind () {
    if (this.waiting.size === 0) return false
    const last = this.parts.lastChange()
    for (const { after } of this.waiting) if (after < last) return true
    return false
  }

  /** The emitter closes: those whose rows are there shall get them at once. */
  hurry () {
    const last = this.parts.lastChange()
    for (const waiter of this.waiting) {
      if (waiter.after >= last) continue
      this.waiting.delete(waiter)
      waiter.callback()
    }
  }

  ask () {
    if (this.asked || this.waiting.size === 0) return
    this.asked = true
    const after = Math.min(...Array.from(this.waiting, (waiter) => waiter.after))
    this.parts.requests.ask((id) => this.parts.core.askGrowth(id, after), (error, answer) => {
      this.asked = false
      for (const waiter of this.waiting) {
        if (!error && waiter.after >= answer.number) continue
        this.waiting.delete(waiter)
        waiter.callback(error)
      }
      this.ask()
    }, { hold: false })
  }
}

/** A place in the log, moving forwards (or backwards), batch by batch. */
class Cursor {
  /**
   * @param {object} parts
   * @param {object} how
   * @param {number} how.from rows after this change; before it when `reverse`
   * @param {boolean} [how.reverse]
   * @param {boolean} [how.live] wait at the end
   * @param {number} [how.wants] `WHOLE_VALUES`
   */
  constructor (parts, { from, reverse = false, live = false, wants = 0 }) {
    this.parts = parts
    this.from = from
    this.reverse = reverse
    this.live = live
    this.wants = wants
    this.ended = false
    this.giveUp = undefined
  }

  /**
   * Fetches the next rows: `callback(error)`, or `callback(null, rows)` with at least one row, or `callback(null)` at the
   * end. One call at a time.
   */
  fetch (callback) {
    if (this.ended) {
      callback(null)
      return
    }
    const { core, requests, tables } = this.parts
    requests.ask((id) => core.askRows(id, this.from, this.reverse, ROWS, BYTES, this.wants), (error, answer) => {
      if (error) return this.fail(error, callback)
      const rows = new Rows(core, tables, answer.rows)
      this.from = rows.next
      if (rows.left > 0) {
        this.ended = rows.done && !this.live
        callback(null, rows)
      } else if (this.live && !this.ended) {
        this.wait(callback)
      } else if (rows.done) {
        this.ended = true
        callback(null)
      } else {
        this.fetch(callback)
      }
    })
  }

  wait (callback) {
    this.giveUp = this.parts.growth.wait(this.from, (error) => {
      this.giveUp = undefined
      if (error) this.fail(error, callback)
      else this.fetch(callback)
    })
  }

  /** Who reads live has heard everything when the emitter closes: that is the end. */
  fail (error, callback) {
    if (!this.live || error.code !== 'ERR_HYPER_CLOSED') return callback(error)
    this.ended = true
    callback(null)
  }

  /** Nobody will call {@link fetch} again, and the callback of the last one may be dropped. */
  end () {
    this.ended = true
    this.giveUp?.()
  }
}

module.exports = { Cursor, Growth }
