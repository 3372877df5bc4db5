'use strict'

const Attempt = require('./attempt')

/** The entries of a subscription without a handler: a loop takes them, and acknowledges or fails each of them. */
class Deliveries {
  constructor () {
    this.waiting = []
    this.wake = undefined
    this.isOver = false
  }

  /** The handler. Its promise is settled once the loop has answered the entry. */
  handle (entry, attempt) {
    return new Promise((resolve, reject) => {
      const delivery = {
        entry,
        attempt: attempt.attempt,
        get signal () {
          return attempt.signal
        },
        append: attempt.append,
        ack: () => resolve(),
        fail: (error = new Error('fail was called')) => reject(error)
      }
      this.waiting.push({ attempt, delivery })
      this.wake?.()
    })
  }

  /** Ends the deliveries. */
  end () {
    this.isOver = true
    this.wake?.()
  }

  /** Resolves to the next delivery; undefined at the end. */
  async next () {
    // Entries that the loop has not begun at the end are left for the next run.
    while (!this.isOver) {
      const next = this.waiting.shift()
      if (next === undefined) await new Promise((resolve) => { this.wake = resolve })
      // An entry that was not taken in time comes again with another attempt.
      else if (!Attempt.isOver(next.attempt)) return next.delivery
    }
    return undefined
  }
}

module.exports = Deliveries
