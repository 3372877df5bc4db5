'use strict'

/**
 * The entries of a subscription without a handler: a loop takes them, and acknowledges or fails each of them. An attempt
 * begins only when the loop asks for an entry, so its time limit counts from then on.
 */
class Deliveries {
  constructor () {
    /** Called when the loop asks for an entry. */
    this.onAsked = undefined
    this.isTaken = false
    this.isOver = false
    this.error = undefined
    /** Settles what the loop waits for. */
    this.asked = undefined
  }

  /** The handler. Its promise is settled once the loop has answered the entry. */
  handle (entry, attempt) {
    return new Promise((resolve, reject) => {
      const { asked } = this
      this.asked = undefined
      asked.resolve({
        entry,
        attempt: attempt.attempt,
        get signal () {
          return attempt.signal
        },
        append: attempt.append,
        ack: () => resolve(),
        fail: (error = new Error('fail was called')) => reject(error)
      })
    })
  }

  /** Ends the deliveries. With an error, the loop throws it. */
  end (error) {
    this.error ??= error
    this.isOver = true
    if (this.asked === undefined) return
    if (this.error === undefined) this.asked.resolve(undefined)
    else this.asked.reject(this.error)
    this.asked = undefined
  }

  /** Resolves to the next delivery; undefined at the end. */
  async next () {
    if (this.error !== undefined) throw this.error
    if (this.isOver) return undefined
    return new Promise((resolve, reject) => {
      this.asked = { resolve, reject }
      this.onAsked()
    })
  }
}

module.exports = Deliveries
