'use strict'

const { entryNotParked, nameSubscribed, noSuchSubscription } = require('../errors')
const { quiet, rejected } = require('../callback')
const { readCursor } = require('../log/portable-cursor')
const { checkStoredName } = require('./options')
const { parkedAt, parkedText, progressText } = require('./records')

/** The stored part of a subscription that is not running. */
class StoredConsumer {
  #name
  #consumers

  /**
   * @param {string} name in the store
   * @param {import('.')} consumers
   */
  constructor (name, consumers) {
    checkStoredName(name)
    this.#name = name
    this.#consumers = consumers
  }

  get name () {
    return this.#name
  }

  /** The parked entries, in the order of the log. */
  parked () {
    return this.#do(({ parked }) => [...parked.values()].sort((a, b) => a.change - b.change))
  }

  /** Lets the subscription handle a parked entry again when it starts. */
  retry (cursor) {
    return this.#do(({ parked }) => this.#set(this.#find(parked, 'retry', cursor), (entry) => parkedText(entry, true)))
  }

  /** Drops a parked entry: it counts as done. */
  skip (cursor) {
    return this.#do(({ parked }) => this.#set(this.#find(parked, 'skip', cursor), () => undefined))
  }

  /** Resets a subscription that the store knows: it will start at `from`, like a new one, and without parked entries. */
  reset (from = 'beginning') {
    return this.#do(async () => {
      if (!(await this.#consumers.records.all()).has(this.#name)) throw noSuchSubscription(this.#name)
      const change = await this.#consumers.startOf(this.#consumers.checkFrom(from))
      await this.#replace(progressText({ change, undone: new Map(), ahead: 0 }))
    }, false)
  }

  /** Removes everything that is stored of it. */
  remove () {
    return this.#do(() => this.#replace(undefined), false)
  }

  /** @param {boolean} [isRead] whether `action` needs the records, which must then be valid */
  #do (action, isRead = true) {
    const consumers = this.#consumers
    const name = this.#name
    // A running subscription has its own progress in memory, and would overwrite the records.
    if (consumers.live.has(name)) return rejected(nameSubscribed(name))
    return quiet(consumers.change(name, async () => {
      await consumers.state.ready
      return action(isRead ? await consumers.records.of(name) : undefined)
    }))
  }

  #find (parked, what, given) {
    const cursor = readCursor(what, given?.cursor ?? given)
    const entry = parkedAt(parked, cursor)
    if (entry === undefined) throw entryNotParked(this.#name, cursor)
    return entry
  }

  #set (entry, textOf) {
    return this.#store([{ change: entry.change, text: textOf(entry) }])
  }

  /** Replaces the record of the subscription, and deletes all its other records. */
  async #replace (text) {
    const { done, parked } = (await this.#consumers.records.all()).get(this.#name) ?? { done: [], parked: new Map() }
    const others = [...done, ...parked.keys()].filter((change) => change > 0)
    await this.#store([{ change: 0, text }, ...others.map((change) => ({ change, text: undefined }))])
  }

  #store (written) {
    return new Promise((resolve, reject) => {
      this.#consumers.records.write(this.#name, written, (error) => error ? reject(error) : resolve())
    })
  }
}

module.exports = StoredConsumer
