'use strict'

const { badSubscription, beyondEnd, closed, eventMissing, nameSubscribed, readOnly } = require('../errors')
const { quiet } = require('../callback')
const { Context } = require('../async-context')
const checkKeys = require('../known-keys')
const { SEARCH_KEYS, checkChange, isCursor, searchOf } = require('../log/query')
const { readCursor } = require('../log/portable-cursor')
const Consumer = require('./consumer')
const Deliveries = require('./deliveries')
const StoredConsumer = require('./stored')
const Subscription = require('./subscription')
const { checkSubscription } = require('./options')

/** Milliseconds that `close` waits for running handlers. Then their attempts are given up. */
const CLOSE_WITHIN = 5000

/** The subscriptions of one emitter. */
class Consumers {
  /**
   * @param {object} parts
   * @param {import('./records').ConsumerRecords} parts.records
   * @param {import('../log/reader')} parts.reader
   * @param {import('../log/arrivals')} parts.arrivals
   * @param {import('../emitting/emit-path')} parts.emits
   * @param {import('../emitting/deferred-queue')} parts.deferred
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../status')} parts.status
   */
  constructor ({ records, reader, arrivals, emits, deferred, state, status }) {
    this.records = records
    this.reader = reader
    this.arrivals = arrivals
    this.emits = emits
    this.deferred = deferred
    this.state = state
    this.status = status
    /** Subscriptions that have not stopped, by their names in the store. */
    this.live = new Map()
    /** By name: settles when a change to the records of a subscription that was not running is over. */
    this.changing = new Map()
    this.isClosing = false
  }

  /**
   * @param {string} name
   * @param {object | undefined} query which events: `names`, `tags`, `query`
   * @param {...*} rest the handler, `(entry, context) => *`, and options; without a handler, a loop takes the entries
   */
  subscribe (name, query, ...rest) {
    const isLoop = rest.length === 0 || (rest[0] !== null && typeof rest[0] === 'object')
    const [handler, given] = isLoop ? [undefined, rest[0]] : rest
    if (typeof rest[isLoop ? 1 : 2] === 'function') throw badSubscription(name, 'its handler comes before its options')
    const options = checkSubscription(name, given)
    if (query !== undefined && query !== null && typeof query !== 'object') throw badSubscription(name, 'its query must be an object with names, tags or query')
    checkKeys(`the query of subscription '${name}'`, query ?? {}, SEARCH_KEYS)
    const search = searchOf(query ?? {})
    // An argument that is undefined is probably a mistyped name.
    if (!isLoop && typeof handler !== 'function') throw badSubscription(name, 'its handler must be a function; for a loop, leave it out')
    this.checkFrom(options.from)
    if (this.isClosing || this.state.closing) throw closed()
    if (this.state.readOnly) throw readOnly()
    if (this.live.has(options.name)) throw nameSubscribed(options.name)
    return this.start(search, handler, options)
  }

  start (search, handler, options) {
    const { name } = options
    const { records, reader, arrivals, emits, state, status } = this
    const context = new Context()
    const deliveries = handler === undefined ? new Deliveries() : undefined
    handler ??= (entry, attempt) => deliveries.handle(entry, attempt)
    const subscription = new Subscription({ name, context, state, arrivals, status, deliveries, release: () => this.live.delete(name) })
    const tell = (event, ...args) => Subscription.tell(subscription, event, ...args)
    const warn = (error) => status.warn(error)
    const consumer = new Consumer({ search, options, handler, records, reader, emits, state, ready: () => this.ready(name), tell, warn })
    this.live.set(name, subscription)
    const start = options.from === 'now' ? this.now() : undefined
    Subscription.start(subscription, consumer, { startOf: (from) => start ?? this.startOf(from), signal: options.signal })
    return subscription
  }

  /**
   * Resolves when the store is open, the schema, if it comes as a stream, has been read, and nobody is changing the records of
   * this name any more.
   */
  async ready (name) {
    await this.changing.get(name)
    await this.state.ready
    if (this.deferred.deferring) await new Promise((resolve) => this.deferred.add(resolve))
  }

  /** Throws unless a subscription can start there. */
  checkFrom (from) {
    if (from === 'beginning' || from === 'now') return from
    if (isCursor(from)) readCursor('from', from)
    else checkChange('from', from)
    return from
  }

  /** The last change at the moment of the call. Before the store is open, it is the one with which it opens. */
  now () {
    const { state } = this
    return state.openedAt === undefined ? quiet(state.ready.then(() => state.openedAt)) : state.lastChange()
  }

  /** The change after which a new name starts. */
  async startOf (from) {
    if (from === 'beginning') return 0
    const last = this.state.lastChange()
    if (from === 'now') return last
    if (!isCursor(from)) {
      if (from > last) throw beyondEnd('from', from, last)
      return from
    }
    const cursor = readCursor('from', from)
    return new Promise((resolve, reject) => {
      const refusal = (why) => eventMissing('from', cursor, why)
      this.arrivals.find(cursor, { refusal }, (error, change) => error ? reject(error) : resolve(change))
    })
  }

  /** Runs `action`, which changes the records of a name. Other changes, and a subscription, wait until it is over. */
  change (name, action) {
    const changed = Promise.resolve(this.changing.get(name)).then(action)
    const over = changed.catch(() => {}).then(() => {
      if (this.changing.get(name) === over) this.changing.delete(name)
    })
    this.changing.set(name, over)
    return changed
  }

  /** The stored part of a subscription. */
  stored (name) {
    return new StoredConsumer(name, this)
  }

  /**
   * The state of each subscription in the store.
   *
   * @param {number} last the last change
   * @returns {Promise<object[]>}
   */
  async stats (last) {
    const known = await this.records.all()
    const all = []
    for (const [name, { progress, parked, fault }] of known) {
      const live = this.live.get(name)
      const now = (live && Subscription.stats(live)) ?? storedStats(progress, parked)
      const behind = Math.max(last - now.change, 0)
      const since = behind > 0 ? now.oldest ?? await this.timeBehind(now.change) : undefined
      all.push({
        name,
        live: live !== undefined,
        change: now.change,
        behind,
        age: behind === 0 ? 0 : since === undefined ? null : Math.max(Date.now() - since, 0),
        undone: now.undone,
        parked: now.parked,
        ...fault !== undefined && { fault: fault.message }
      })
    }
    return all.sort((a, b) => a.name < b.name ? -1 : 1)
  }

  /** When the first event after a change was emitted; undefined if that is unknown. */
  async timeBehind (change) {
    const { value } = await this.reader.read({ since: change, limit: 1, raw: true }).next()
    return value?.time
  }

  /** Whether subscriptions have to be stopped before the emitter is closed. */
  get isBusy () {
    return this.live.size > 0
  }

  /** Stops all of them. Resolves when their handlers have ended, or their time is up. */
  async stop () {
    this.isClosing = true
    await Promise.allSettled(Array.from(this.live.values(), (subscription) => Subscription.stop(subscription, CLOSE_WITHIN)))
  }
}

function storedStats (progress, parked) {
  if (progress === undefined) return { change: 0, undone: 0, parked: parked.size }
  const { change, undone } = progress
  const [first] = undone.keys()
  return { change: first === undefined ? change : first - 1, undone: undone.size, parked: parked.size }
}

module.exports = Consumers
