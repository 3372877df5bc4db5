'use strict'

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
      this.waiting.push({
        entry,
        attempt: attempt.attempt,
        get signal () {
          return attempt.signal
        },
        append: attempt.append,
        ack: () => resolve(),
        fail: (error = new Error('fail was called')) => reject(error)
      })
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
    while (this.waiting.length === 0 && !this.isOver) await new Promise((resolve) => { this.wake = resolve })
    // What the loop has not begun is left for the next run.
    return this.isOver ? undefined : this.waiting.shift()
  }
}

module.exports = Deliveries
