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

  /** @param {object} item its entry and what has become of it */
  constructor (item) {
    this.#item = item
    this.#number = item.made
  }

  /** Which attempt this is, from 1. */
  get attempt () {
    return this.#number
  }

  /** Aborted when the attempt has taken too long, or is given up. */
  get signal () {
    // Made only for those who ask: it costs more than the rest of an attempt.
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /**
   * Appends events, one or a list, as `append` of the emitter does: they are stored once the handler has succeeded, all of them and
   * in the same commit as the fact that the entry is done; otherwise none.
   */
  get append () {
    // A function of its own, so that a handler can take it out of its context.
    this.#append ??= (name, payload, options) => this.#add(name, payload, options)
    return this.#append
  }

  #add (name, payload, options) {
    if (this.#over) throw attemptOver()
    const events = Array.isArray(name) ? name : [{ name, payload, tags: options?.tags }]
    if (events.length === 0) return
    this.#events = checkEvents([...this.#events ?? [], ...events])
  }

  /** What the consumer needs of an attempt, and users do not. */
  static itemOf (attempt) {
    return attempt.#item
  }

  /** Whether it is over. */
  static isOver (attempt) {
    return attempt.#over
  }

  /** The attempt is over; what it has appended, if anything. */
  static end (attempt) {
    attempt.#over = true
    return attempt.#events
  }

  /** The attempt is given up. */
  static abort (attempt, reason) {
    attempt.#over = true
    attempt.#reason = reason
    attempt.#controller?.abort(reason)
  }
}

module.exports = Attempt
