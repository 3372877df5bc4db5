'use strict'

const { attemptOver } = require('../errors')
const { Batch, checkEvents } = require('../emitting/batch')
const checkKeys = require('../known-keys')

/** One attempt at an entry: the handler's second argument. */
class Attempt {
  #number
  #item
  #emits
  #controller
  #append
  #batch
  #over = false
  #reason

  /**
   * @param {import('./item')} item
   * @param {import('../emitting/emit-path')} emits
   */
  constructor (item, emits) {
    this.#item = item
    this.#emits = emits
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
   * commit as the record that the entry is done; otherwise none. Throws if they cannot be encoded; then none of this call is
   * appended.
   */
  get append () {
    // A bound function, so that a handler can use it without the object.
    this.#append ??= (name, payload, options) => this.#add(name, payload, options)
    return this.#append
  }

  #add (name, payload, options) {
    if (this.#over) throw attemptOver()
    const isList = Array.isArray(name)
    if (isList) checkKeys('context.append of a list', payload ?? {}, [])
    else checkKeys('context.append', options ?? {}, ['tags'])
    const events = isList ? name : [{ name, payload, tags: options?.tags }]
    if (events.length === 0) return
    this.#batch ??= new Batch()
    this.#batch.join(this.#emits.batchOf(checkEvents(events, this.#batch.events.length)))
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
    return attempt.#batch?.events.length > 0 ? attempt.#batch : undefined
  }

  /** Gives the attempt up. */
  static abort (attempt, reason) {
    attempt.#over = true
    attempt.#reason = reason
    attempt.#controller?.abort(reason)
  }
}

module.exports = Attempt
