'use strict'

const { inContext } = require('../async-context')

/** Waits for the log to grow: one request to the native half serves all waiting readers. */
class Growth {
  /**
   * @param {object} core the native half
   * @param {import('../native/requests')} requests
   * @param {import('../lifecycle/store-state')} state
   */
  constructor (core, requests, state) {
    this.core = core
    this.requests = requests
    this.state = state
    this.waiting = new Set()
    this.asked = false
    /** Called when a reader begins to wait, or stops. */
    this.onChange = undefined
  }

  /** Calls back once the log ends after `after`; `callback(error)` when the emitter closes. Returns a function that cancels the wait. */
  wait (after, callback) {
    const waiter = { after, callback: inContext(callback) }
    this.waiting.add(waiter)
    this.ask()
    this.onChange?.()
    return () => {
      this.waiting.delete(waiter)
      this.onChange?.()
    }
  }

  /** Whether a reader waits for rows that are already stored, and will soon be called back. */
  get busy () {
    if (this.waiting.size === 0) return false
    const last = this.state.lastChange()
    for (const { after } of this.waiting) if (after < last) return true
    return false
  }

  /** Calls back readers whose rows are stored, because the emitter closes. */
  hurry () {
    const last = this.state.lastChange()
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
    this.requests.ask((id) => this.core.askGrowth(id, after), (error, answer) => {
      this.asked = false
      for (const waiter of this.waiting) {
        if (!error && waiter.after >= answer.number) continue
        this.waiting.delete(waiter)
        waiter.callback(error)
      }
      this.onChange?.()
      this.ask()
    }, { hold: false })
  }
}

module.exports = Growth
