'use strict'

const Attempt = require('./attempt')

/** Entries of a subscription without a handler: a loop takes them, and says what became of each. */
class Deliveries {
  constructor () {
    this.waiting = []
    this.wake = undefined
    this.isOver = false
  }

  /** The handler: its promise is settled once the loop has said what became of the entry. */
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

  /** Nothing more comes. */
  end () {
    this.isOver = true
    this.wake?.()
  }

  /** Resolves to the next one; undefined at the end. */
  async next () {
    // What the loop has not begun at the end is left for the next run.
    while (!this.isOver) {
      const next = this.waiting.shift()
      if (next === undefined) await new Promise((resolve) => { this.wake = resolve })
      // One that nobody has taken in time comes again with another attempt.
      else if (!Attempt.isOver(next.attempt)) return next.delivery
    }
    return undefined
  }
}

module.exports = Deliveries
