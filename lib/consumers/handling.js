'use strict'

const { asError, attemptTimedOut, cutOff, subscriptionOver, tooManyParked } = require('../errors')
const { EmitCallback } = require('../async-context')
const Attempt = require('./attempt')
const Deadlines = require('./deadlines')
const { DONE_TEXT, parkedOf, parkedText } = require('./records')

/** Entries that a subscription parks: so many failures are not those of single entries. */
const MAX_PARKED = 256

/** Milliseconds after which events that could not be stored are tried again. */
const TRY_AGAIN = 1000

/** Refusals of a handler's events that are the handler's fault; after any other, storing them is tried again. */
const FAULTY_EVENTS = new Set(['ERR_HYPER_VALUE', 'ERR_HYPER_TOO_LARGE', 'ERR_HYPER_INVALID_ARG', 'ERR_HYPER_RESERVED_NAME', 'ERR_INVALID_ARG_TYPE'])

/**
 * Calls the handler of a subscription for one entry: again after a failure, until it is done or parked.
 *
 * @typedef {object} Item an entry that is being handled
 * @property {object} entry
 * @property {number} change
 * @property {string} [key]
 * @property {number} made attempts that have been begun
 * @property {number} recorded as many of them as the records say, or will say with the next checkpoint
 * @property {boolean} isSuspect a run that was cut off may have begun it
 * @property {boolean} wasParked it is handled once more at somebody's request, and its record says that it is parked until it is done
 * @property {Error} [fault] why it cannot be handled
 * @property {import('./attempt')} [attempt] the one under way
 * @property {NodeJS.Timeout} [timer] of what it waits for
 */
class Handling {
  /**
   * @param {object} parts
   * @param {import('./options').SubscriptionOptions} parts.options
   * @param {(entry: object, attempt: import('./attempt')) => *} parts.handler
   * @param {import('../emitting/emit-path')} parts.emits
   * @param {import('./checkpoint')} parts.checkpoint
   * @param {(event: string, ...args: *) => void} parts.tell `parked`, `failed`
   * @param {(error: Error) => void} parts.warn
   * @param {object} parts.owner hears what becomes of entries: `again(item)` when one may have its next attempt, `left(item)` when one is
   *   done or parked, `released()` when an attempt is over, `fail(error)` when the subscription cannot go on
   */
  constructor ({ options, handler, emits, checkpoint, tell, warn, owner }) {
    this.options = options
    this.handler = handler
    this.emits = emits
    this.checkpoint = checkpoint
    this.tell = tell
    this.warn = warn
    this.owner = owner
    this.deadlines = new Deadlines(options.timeout, (attempt) => this.expire(attempt))
    /** Attempts under way, also those that wait for a record. */
    this.running = 0
    /** What waits for a time. */
    this.delayed = new Set()
    this.isStopping = false
    /** @type {import('./progress')} */
    this.progress = undefined
    /** @type {Map<number, import('./records').Parked>} by change */
    this.parked = new Map()
  }

  /** The next attempt at an entry, whose turn it is. */
  begin (item) {
    if (item.fault !== undefined) return this.park(item, item.fault)
    if (item.made >= this.options.attempts) return this.park(item, cutOff())
    this.running++
    // An attempt after the first is on disk before it begins, and so is any of an entry that may have ended the process.
    if ((item.made > 0 || item.isSuspect) && !item.wasParked) {
      item.recorded = item.made + 1
      this.checkpoint.now(() => this.attempt(item))
    } else {
      this.attempt(item)
    }
  }

  attempt (item) {
    if (this.isStopping) {
      // It has not begun after all.
      item.recorded = item.made
      this.release()
      return
    }
    item.made++
    this.progress.begun++
    const attempt = item.attempt = new Attempt(item)
    let promise
    try {
      const result = this.handler(item.entry, attempt)
      if (typeof result?.then === 'function') promise = Promise.resolve(result)
    } catch (error) {
      this.failed(attempt, error)
      return
    }
    if (promise === undefined) return this.succeeded(attempt)
    this.deadlines.add(attempt)
    promise.then(() => this.succeeded(attempt), (error) => this.failed(attempt, error))
  }

  /** The handler has done its work; its events are stored with that. */
  succeeded (attempt) {
    const item = Attempt.itemOf(attempt)
    // It was given up before.
    if (item.attempt !== attempt) return
    this.deadlines.delete(attempt)
    const events = Attempt.end(attempt)
    if (events === undefined) this.finish(item)
    else this.append(item, events)
  }

  append (item, events) {
    const kept = [{ change: item.change, text: item.wasParked ? undefined : DONE_TEXT }]
    const { attempt } = item
    const answered = (error) => {
      // It was given up before.
      if (item.attempt !== attempt) return
      if (!error) this.finish(item, true)
      else if (FAULTY_EVENTS.has(error.code)) this.failed(attempt, error)
      else this.appendLater(item, events, error)
    }
    try {
      this.emits.emitAll(events, new EmitCallback(answered), { consumer: this.options.name, kept })
    } catch (error) {
      this.failed(attempt, error)
    }
  }

  /** The store cannot take events now, which is not the handler's fault. */
  appendLater (item, events, error) {
    if (error.code !== 'ERR_HYPER_CLOSED') this.warn(error)
    if (!this.isStopping) return this.later(item, TRY_AGAIN, () => this.append(item, events))
    item.attempt = undefined
    this.release()
  }

  /** An entry is done; `isMarked` if a record of its own says so until the subscription's does. */
  finish (item, isMarked = false) {
    item.attempt = undefined
    if (item.wasParked) this.parked.delete(item.change)
    else this.progress.finish(item)
    if (isMarked || item.wasParked) this.checkpoint.put(item.change, undefined)
    this.checkpoint.note()
    this.owner.left(item)
    this.release()
  }

  /** An attempt has failed. */
  failed (attempt, thrown) {
    const item = Attempt.itemOf(attempt)
    if (item.attempt !== attempt) return
    const error = asError(thrown)
    this.deadlines.delete(attempt)
    Attempt.abort(attempt, error)
    item.attempt = undefined
    if (item.made >= this.options.attempts) {
      this.park(item, error)
    } else {
      item.recorded = item.made
      this.checkpoint.note()
      const delay = this.delayOf(item, error)
      this.later(item, delay, () => this.owner.again(item))
      this.tell('failed', error, item.entry, { attempt: item.made, delay })
    }
    this.release()
  }

  delayOf (item, error) {
    try {
      return this.options.backoff(item.made, error, item.entry)
    } catch (fault) {
      this.warn(asError(fault))
      return TRY_AGAIN
    }
  }

  expire (attempt) {
    this.failed(attempt, attemptTimedOut(this.options.name, this.options.timeout))
  }

  /** An entry is put aside, and what waits behind it goes on once that is durable. */
  park (item, error) {
    // Somebody has dropped it meanwhile.
    if (item.wasParked && !this.parked.has(item.change)) return this.owner.left(item)
    if (this.parked.size >= MAX_PARKED && !item.wasParked) {
      // Its last attempt is made again when there is room.
      item.recorded = Math.max(item.made - 1, 0)
      this.owner.fail(tooManyParked(this.options.name, MAX_PARKED, error))
      return
    }
    const parked = parkedOf(item, error)
    this.checkpoint.put(item.change, parkedText(parked))
    this.parked.set(item.change, parked)
    this.progress.finish(item)
    this.checkpoint.now((failure) => {
      if (failure) return
      this.tell('parked', parked, error)
      this.owner.left(item)
    })
  }

  /** An attempt is over. */
  release () {
    this.running--
    this.owner.released()
  }

  /** Does something about an entry after some time, unless that is cancelled, or the subscription is stopping. */
  later (item, delay, action) {
    if (this.isStopping) return
    this.delayed.add(item)
    item.timer = setTimeout(() => {
      this.delayed.delete(item)
      item.timer = undefined
      action()
    }, delay)
  }

  cancel (item) {
    clearTimeout(item.timer)
    item.timer = undefined
    this.delayed.delete(item)
  }

  /** Begins nothing more. */
  stop () {
    this.isStopping = true
    for (const item of this.delayed) {
      this.cancel(item)
      if (item.attempt === undefined) continue
      // Its events were not stored.
      item.attempt = undefined
      this.running--
    }
  }

  /** Gives up what is under way: whatever it still does is of no interest any more. */
  end () {
    this.deadlines.end()
    for (const item of this.progress?.undone.values() ?? []) {
      if (item.attempt !== undefined) Attempt.abort(item.attempt, subscriptionOver())
      item.attempt = undefined
    }
  }
}

module.exports = Handling
