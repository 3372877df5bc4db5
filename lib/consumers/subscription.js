'use strict'

const { EventEmitter } = require('node:events')

const { entryNotParked, subscriptionHasHandler, subscriptionHasLoop, surface } = require('../errors')
const { quiet } = require('../callback')
const { readCursor } = require('../log/portable-cursor')
const { parkedAt } = require('./records')

/**
 * What `subscribe` returns. Events: `parked(parked, error)`, `failed(error, entry, { attempt, delay })`, `caughtUp(change)`,
 * `error(error)` when it cannot continue; without a listener for this, the emitter's `status` gets a `warning`.
 */
class Subscription extends EventEmitter {
  #name
  #context
  #consumer
  #state
  #arrivals
  #status
  #deliveries
  #started
  #stopped
  #release

  /**
   * @param {object} parts
   * @param {string} parts.name
   * @param {import('../async-context').Context} parts.context of the subscriber, in which its handlers and listeners run
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../log/arrivals')} parts.arrivals
   * @param {import('../status')} parts.status
   * @param {import('./deliveries')} [parts.deliveries] from which a loop takes the entries, if there is no handler
   * @param {() => void} parts.release called when it has stopped
   */
  constructor ({ name, context, state, arrivals, status, deliveries, release }) {
    super()
    this.#name = name
    this.#context = context
    this.#state = state
    this.#arrivals = arrivals
    this.#status = status
    this.#deliveries = deliveries
    this.#release = release
  }

  /** Starts the subscription with its consumer. */
  static start (subscription, consumer, { startOf, signal }) {
    subscription.#start(consumer, startOf, signal)
  }

  /** Emits an event. Exceptions of listeners must not interrupt the handling of entries. */
  static tell (subscription, event, ...args) {
    try {
      subscription.emit(event, ...args)
    } catch (error) {
      surface(error)
    }
  }

  /** Like `stop`, within this many milliseconds. */
  static stop (subscription, within) {
    return subscription.#stop(within)
  }

  /** Its state; undefined before it has started. */
  static stats (subscription) {
    const { progress, parked } = subscription.#consumer
    return progress && { ...progress.stats(), parked: parked.size }
  }

  #start (consumer, startOf, signal) {
    this.#consumer = consumer
    consumer.onFailed = (error) => {
      this.#deliveries?.end(error)
      this.stop()
      this.#fail(error)
    }
    const deliveries = this.#deliveries
    if (deliveries !== undefined) {
      consumer.handling.allowed = 0
      deliveries.onAsked = () => this.#run(() => consumer.allowOne())
    }
    const abort = () => this.stop()
    if (signal?.aborted) return abort()
    signal?.addEventListener('abort', abort, { once: true })
    this.#started = consumer.start(startOf).catch((error) => {
      if (error.code !== 'ERR_HYPER_CLOSED') consumer.fail(error)
    })
    const forget = this.#release
    this.#release = () => {
      signal?.removeEventListener('abort', abort)
      forget()
    }
  }

  #fail (error) {
    if (this.listenerCount('error') > 0) Subscription.tell(this, 'error', error)
    else this.#status.warn(error)
  }

  #stop (within) {
    if (this.#stopped !== undefined && within !== undefined) this.#consumer.giveUpAfter(within)
    this.#stopped ??= this.#run(async () => {
      this.#deliveries?.end()
      await this.#consumer.stop(within)
      this.#release()
    })
    return this.#stopped
  }

  #run (action) {
    return this.#context.runInAsyncScope(action)
  }

  /** Its name in the store. The name of a member of a group ends with `@member/size`. */
  get name () {
    return this.#name
  }

  /**
   * Resolves once everything that is stored now, or everything up to the event of a cursor, has been handled or parked, and no
   * parked entry is being handled again. Rejects when the subscription stops, with the error if it has failed.
   *
   * @param {string | object} [cursor]
   */
  caughtUp (cursor) {
    return this.#run(() => this.#consumer.whenDone(this.#find(cursor)))
  }

  async #find (cursor) {
    await this.#state.ready
    return cursor === undefined ? this.#state.lastChange() : this.#arrivals.caughtUp(cursor)
  }

  /** The parked entries, in the order of the log. */
  async parked () {
    await this.#started
    const { failure, progress } = this.#consumer
    if (failure !== undefined && progress === undefined) throw failure
    return [...this.#consumer.parked.values()].sort((a, b) => a.change - b.change)
  }

  /**
   * Handles a parked entry again, beginning with a first attempt. An entry that waits for its next attempt gets it immediately.
   * Resolves once the request is stored; `caughtUp()` waits until the entry has been handled, or is parked again.
   */
  retry (cursor) {
    return this.#concern('retry', cursor, (consumer, waiting, parked) => {
      return waiting !== undefined ? consumer.hurry(waiting) : consumer.handleParked(parked)
    })
  }

  /** Drops a parked entry, also while it is handled again, or one that waits for its next attempt: it counts as done. Resolves once that is durable. */
  skip (cursor) {
    return this.#concern('skip', cursor, (consumer, waiting, parked) => {
      return waiting !== undefined ? consumer.giveUp(waiting) : consumer.dropParked(parked)
    })
  }

  #concern (what, given, action) {
    return quiet(this.#run(async () => {
      const cursor = readCursor(what, given?.cursor ?? given)
      await this.#started
      const consumer = this.#consumer
      if (consumer.isStopping) throw consumer.over()
      const waiting = consumer.waitingAt(cursor)
      const parked = parkedAt(consumer.parked, cursor)
      if (waiting === undefined && parked === undefined) throw entryNotParked(this.#name, cursor)
      await action(consumer, waiting, parked)
    }))
  }

  /** Begins no further entries until {@link resume}. Running handlers continue. */
  pause () {
    this.#consumer.isPaused = true
    return this
  }

  resume () {
    this.#consumer.isPaused = false
    this.#run(() => this.#consumer.pump())
    return this
  }

  isPaused () {
    return this.#consumer.isPaused
  }

  /** Begins nothing more, waits for running handlers, and stores the progress. */
  stop () {
    return quiet(this.#stop())
  }

  /**
   * Without a handler, iterates over the entries: `{ entry, ack, fail, attempt, signal, append }`. Leaving the loop stops the
   * subscription. Entries that have not been answered by then are handled again next time.
   */
  async * [Symbol.asyncIterator] () {
    const deliveries = this.#deliveries
    if (deliveries === undefined) throw subscriptionHasHandler(this.#name)
    if (deliveries.isTaken) throw subscriptionHasLoop(this.#name)
    deliveries.isTaken = true
    try {
      for (let next = await deliveries.next(); next !== undefined; next = await deliveries.next()) yield next
    } finally {
      await this.#stop(0)
    }
  }
}

if (Symbol.asyncDispose) {
  Object.defineProperty(Subscription.prototype, Symbol.asyncDispose, {
    value () {
      return this.stop()
    },
    writable: true,
    configurable: true
  })
}

module.exports = Subscription
