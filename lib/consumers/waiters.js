'use strict'

/** Promises that are resolved once everything up to a change is done. */
class Waiters {
  constructor () {
    this.all = new Set()
    /** Those whose change is known, in ascending order, so that only the first ones have to be looked at. */
    this.due = []
  }

  /**
   * @param {Promise<number>} found the change
   * @param {() => void} known called when it has been found
   * @returns {Promise<void>} resolved by {@link reach}; rejected as `found` is, or by {@link end}
   */
  wait (found, known) {
    return new Promise((resolve, reject) => {
      const waiter = { change: undefined, resolve, reject }
      this.all.add(waiter)
      found.then((change) => {
        if (!this.all.has(waiter)) return
        waiter.change = change
        this.insert(waiter)
        known()
      }, (error) => {
        this.all.delete(waiter)
        reject(error)
      })
    })
  }

  insert (waiter) {
    const { due } = this
    let place = due.length
    while (place > 0 && due[place - 1].change > waiter.change) place--
    due.splice(place, 0, waiter)
  }

  /** Resolves those that wait for a change up to this one. */
  reach (change) {
    const { due } = this
    let count = 0
    while (count < due.length && due[count].change <= change) count++
    if (count === 0) return
    for (const waiter of due.splice(0, count)) {
      this.all.delete(waiter)
      waiter.resolve()
    }
  }

  /** Rejects all of them. */
  end (error) {
    for (const waiter of this.all) waiter.reject(error)
    this.all.clear()
    this.due = []
  }
}

module.exports = Waiters
