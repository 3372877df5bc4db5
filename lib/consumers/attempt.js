'use strict'

const { attemptOver } = require('../errors')
const { checkEvents } = require('../emitting/batch')

/** One attempt at an entry: the handler's second argument. */
class Attempt {
  #number
  #item
  #controller
  #append
  #events
  #over = false
  #reason

  /** @param {object} item its entry and the state of handling it */
  constructor (item) {
    this.#item = item
    this.#number = item.made
  }

  /** Number of this attempt, from 1. */
  get attempt () {
    return this.#number
  }

  /** Aborted if the attempt takes too long, or is given up. */
  get signal () {
    // Created on demand, because it costs more than the rest of an attempt.
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /**
   * Appends one event or a list, like the emitter's `append`. If the handler succeeds, all of them are stored, in the same
   * commit as the record that the entry is done; otherwise none.
   */
  get append () {
    // A bound function, so that a handler can use it without the object.
    this.#append ??= (name, payload, options) => this.#add(name, payload, options)
    return this.#append
  }

  #add (name, payload, options) {
    if (this.#over) throw attemptOver()
    const events = Array.isArray(name) ? name : [{ name, payload, tags: options?.tags }]
    if (events.length === 0) return
    this.#events = checkEvents([...this.#events ?? [], ...events])
  }

  /** The item of an attempt, which only the consumer needs. */
  static itemOf (attempt) {
    return attempt.#item
  }

  /** Whether the attempt is over. */
  static isOver (attempt) {
    return attempt.#over
  }

  /** Ends the attempt. Returns what it has appended, if anything. */
  static end (attempt) {
    attempt.#over = true
    return attempt.#events
  }

  /** Gives the attempt up. */
  static abort (attempt, reason) {
    attempt.#over = true
    attempt.#reason = reason
    attempt.#controller?.abort(reason)
  }
}

module.exports = Attempt
