'use strict'

const { asError, attemptTimedOut, cutOff, entrySkipped, subscriptionOver, tooManyParked } = require('../errors')
const { EmitCallback } = require('../async-context')
const Attempt = require('./attempt')
const Deadlines = require('./deadlines')
const { DONE_TEXT, parkedOf, parkedText } = require('./records')

/** Most entries that a subscription parks: with more failures, the fault is not in single entries. */
const MAX_PARKED = 256

/** Milliseconds after which storing events is retried. */
const TRY_AGAIN = 1000

/** Codes of refused events that are the handler's fault. After any other error, storing the events is retried. */
const FAULTY_EVENTS = new Set(['ERR_HYPER_VALUE', 'ERR_HYPER_TOO_LARGE', 'ERR_HYPER_INVALID_ARG', 'ERR_HYPER_RESERVED_NAME', 'ERR_INVALID_ARG_TYPE'])

/** Calls the handler of a subscription for one entry, and again after failures, until the entry is done or parked. */
class Handling {
  /**
   * @param {object} parts
   * @param {import('./options').SubscriptionOptions} parts.options
   * @param {(entry: object, attempt: import('./attempt')) => *} parts.handler
   * @param {import('../emitting/emit-path')} parts.emits
   * @param {import('./checkpoint')} parts.checkpoint
   * @param {(event: string, ...args: *) => void} parts.tell `parked`, `failed`
   * @param {(error: Error) => void} parts.warn
   * @param {object} parts.owner is told the state of entries: `again(item)` when one may have its next attempt, `left(item)`
   *   when one is done or parked, `released()` when an attempt is over, `fail(error)` when the subscription cannot continue
   */
  constructor ({ options, handler, emits, checkpoint, tell, warn, owner }) {
    this.options = options
    this.handler = handler
    this.emits = emits
    this.checkpoint = checkpoint
    this.tell = tell
    this.warn = warn
    this.owner = owner
    this.deadlines = new Deadlines({ timeout: options.timeout, items: () => owner.unfinished(), expire: (item) => this.expire(item) })
    /** Attempts under way, including those that wait for a record. */
    this.running = 0
    /** How many attempts may begin. A loop allows one at a time. */
    this.allowed = Infinity
    /** Entries that are being parked, which is not durable yet. */
    this.parking = 0
    /** Items that wait for a timer. */
    this.delayed = new Set()
    this.isStopping = false
    /** @type {import('./progress')} */
    this.progress = undefined
    /** @type {Map<number, import('./records').Parked>} by change */
    this.parked = new Map()
  }

  /** Begins the next attempt at an entry. */
  begin (item) {
    if (this.isDropped(item)) return this.owner.left(item)
    if (item.fault !== undefined) return this.park(item, item.fault)
    if (item.made >= this.options.attempts) return this.park(item, cutOff())
    this.running++
    this.allowed--
    // Attempts after the first one are recorded on disk before they begin, and so is every attempt at an entry that may have
    // crashed the process.
    if (item.wasParked && item.made === 0) {
      // The request is met by this attempt: if it crashes the process, it is not repeated.
      this.checkpoint.put(item.change, parkedText(this.parked.get(item.change)))
      this.checkpoint.now(() => this.attempt(item))
    } else if ((item.made > 0 || item.isSuspect) && !item.wasParked) {
      item.recorded = item.made + 1
      this.checkpoint.now(() => this.attempt(item))
    } else {
      this.attempt(item)
    }
  }

  /** Records that a parked entry is to be handled again. */
  request (parked) {
    this.checkpoint.put(parked.change, parkedText(parked, true))
  }

  /** Whether a parked entry that is handled again has been skipped. */
  isDropped (item) {
    return item.wasParked && !this.parked.has(item.change)
  }

  attempt (item) {
    if (this.isStopping) {
      // The attempt has not begun after all.
      item.recorded = item.made
      if (item.wasParked && item.made === 0 && !this.isDropped(item)) this.request(this.parked.get(item.change))
      this.release()
      return
    }
    if (this.isDropped(item)) {
      this.allowed++
      this.owner.left(item)
      this.release()
      return
    }
    item.made++
    this.progress.begun++
    const attempt = item.attempt = new Attempt(item, this.emits)
    let promise
    try {
      const result = this.handler(item.entry, attempt)
      if (typeof result?.then === 'function') promise = Promise.resolve(result)
    } catch (error) {
      this.failed(attempt, error)
      return
    }
    if (promise === undefined) return this.succeeded(attempt)
    this.deadlines.add(item)
    promise.then(() => this.succeeded(attempt), (error) => this.failed(attempt, error))
  }

  /** Called when the handler has succeeded. Its events are stored together with the record that the entry is done. */
  succeeded (attempt) {
    const item = Attempt.itemOf(attempt)
    // It was given up before.
    if (item.attempt !== attempt) return
    this.deadlines.delete(item)
    const batch = Attempt.end(attempt)
    if (batch === undefined) this.finish(item)
    else this.append(item, batch)
  }

  append (item, batch) {
    const kept = [{ change: item.change, text: item.wasParked ? undefined : DONE_TEXT }]
    const { attempt } = item
    const answered = (error) => {
      // It was given up before.
      if (item.attempt !== attempt) return
      if (!error) this.finish(item, true)
      else if (FAULTY_EVENTS.has(error.code)) this.failed(attempt, error)
      else this.appendLater(item, batch, error)
    }
    try {
      this.emits.store(batch, { consumer: this.options.name, kept }, new EmitCallback(answered))
    } catch (error) {
      this.failed(attempt, error)
    }
  }

  /** Retries storing the events later, because the store cannot take them now, which is not the handler's fault. */
  appendLater (item, batch, error) {
    if (error.code !== 'ERR_HYPER_CLOSED') this.warn(error)
    if (!this.isStopping) return this.later(item, TRY_AGAIN, () => this.append(item, batch))
    item.attempt = undefined
    this.release()
  }

  /**
   * Finishes an entry. `isMarked` says whether it has a record of its own until the subscription's record says that it is done.
   */
  finish (item, isMarked = false) {
    item.attempt = undefined
    if (item.wasParked) this.parked.delete(item.change)
    else this.progress.finish(item)
    if (isMarked || item.wasParked) this.checkpoint.put(item.change, undefined)
    this.checkpoint.note()
    this.owner.left(item)
    this.release()
  }

  /** Handles a failed attempt. */
  failed (attempt, thrown) {
    const item = Attempt.itemOf(attempt)
    if (item.attempt !== attempt) return
    const error = asError(thrown)
    this.deadlines.delete(item)
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

  expire (item) {
    this.failed(item.attempt, attemptTimedOut(this.options.name, this.options.timeout))
  }

  /** Parks an entry. Entries that wait for it continue once that is durable. */
  park (item, error) {
    // It was dropped in the meantime.
    if (this.isDropped(item)) return this.owner.left(item)
    if (this.parked.size >= MAX_PARKED && !item.wasParked) {
      // Its last attempt is repeated when there is room.
      item.recorded = Math.max(item.made - 1, 0)
      this.owner.fail(tooManyParked(this.options.name, MAX_PARKED, error))
      return
    }
    const parked = parkedOf(item, error)
    this.checkpoint.put(item.change, parkedText(parked))
    this.parked.set(item.change, parked)
    this.progress.finish(item)
    this.parking++
    this.checkpoint.now((failure) => {
      this.parking--
      if (failure) return
      this.tell('parked', parked, error)
      this.owner.left(item)
    })
  }

  /** Called when an attempt is over. */
  release () {
    this.running--
    this.owner.released()
  }

  /** Calls `action` for an entry after some time, unless that is cancelled or the subscription stops. */
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

  /** Stops: no further attempt begins. */
  stop () {
    this.isStopping = true
    for (const item of this.delayed) {
      this.cancel(item)
      if (item.attempt === undefined) continue
      // The attempt's events were not stored.
      item.attempt = undefined
      this.running--
    }
  }

  /** Gives up the attempt at a parked entry that is handled again, because it is skipped. */
  skip (item) {
    if (item.attempt === undefined) return
    this.deadlines.delete(item)
    // Its events may be waiting to be stored.
    this.cancel(item)
    this.giveUp(item, entrySkipped())
    this.owner.left(item)
    this.release()
  }

  giveUp (item, reason) {
    if (item.attempt !== undefined) Attempt.abort(item.attempt, reason)
    item.attempt = undefined
  }

  /** Gives up the running attempts at these entries: their results are ignored. They count, because they have begun. */
  end (items) {
    this.deadlines.end()
    const reason = subscriptionOver()
    for (const item of items) {
      // If only one attempt is allowed, it is not counted: nobody has said that it failed.
      if (item.attempt !== undefined) item.recorded = this.options.attempts > 1 ? item.made : 0
      // It has not begun, and only waits for its record.
      else if (item.recorded > item.made) item.recorded = item.made
      this.giveUp(item, reason)
    }
  }
}

module.exports = Handling
