'use strict'

const { badConsumerRecord, reasonOf, stackOf } = require('../errors')
const { promisedAnswer } = require('../callback')
const { isAt, readCursor } = require('../log/portable-cursor')

/** Most characters of an error's message, and of its stack, that are kept, because all parked entries are in memory. */
const MAX_REASON = 500
const MAX_STACK = 1500

/** Version of the records' format. */
const VERSION = 1

/**
 * The progress of a subscription (docs/design/consumers.md).
 *
 * @typedef {object} Progress
 * @property {number} change up to this change all entries are done except `undone`
 * @property {Map<number, number>} undone ascending changes of entries that are not done, each with the known number of attempts
 * @property {number} ahead how many entries after `change` may have been begun; 0 after an orderly stop
 */

/**
 * What is stored about a parked entry.
 *
 * @typedef {object} Parked
 * @property {string} cursor
 * @property {number} change
 * @property {string} [name] the event's
 * @property {number} attempts
 * @property {string} reason
 * @property {string} [stack]
 * @property {number} at milliseconds since 1970
 */

/**
 * The records of one subscription.
 *
 * @typedef {object} Records
 * @property {Progress} [progress]
 * @property {Set<number>} done entries whose derived events are stored
 * @property {Map<number, Parked>} parked
 * @property {Set<number>} wanted parked entries that have to be handled again
 * @property {Error} [fault] why the records cannot be read
 */

/** The records of subscriptions in the store. */
class ConsumerRecords {
  /**
   * @param {object} core the native half
   * @param {import('../native/requests')} requests
   */
  constructor (core, requests) {
    this.core = core
    this.requests = requests
    /** A request for all records that has not been sent yet. */
    this.next = undefined
  }

  /**
   * The records of all subscriptions.
   *
   * @returns {Promise<Map<string, Records>>}
   */
  all () {
    return promisedAnswer(this.requests, (id) => this.core.askConsumers(id), ({ text }) => {
      const found = new Map()
      for (const [name, change, record] of JSON.parse(text)) {
        if (!found.has(name)) found.set(name, noRecords())
        addRecord(found.get(name), name, change, record)
      }
      return found
    })
  }

  /** The records of one subscription. Rejects if they cannot be read. */
  async of (name) {
    const records = (await this.allSoon()).get(name) ?? noRecords()
    if (records.fault !== undefined) throw records.fault
    return records
  }

  /**
   * The same as `all`, with one read for all who ask at the same time: subscriptions usually start together. The read begins
   * after the last of them has asked, so it contains everything that had been stored when they asked.
   */
  allSoon () {
    this.next ??= new Promise((resolve) => process.nextTick(resolve)).then(() => {
      this.next = undefined
      return this.all()
    })
    return this.next
  }

  /**
   * Stores records durably and atomically.
   *
   * @param {string} name
   * @param {{ change: number, text?: string }[]} records records without a text are deleted
   * @param {(error: Error | null) => void} callback
   */
  write (name, records, callback) {
    this.requests.ask((id) => this.core.setConsumer(id, name, records), callback, { brief: true })
  }
}

/** @returns {Records} */
function noRecords () {
  return { progress: undefined, done: new Set(), parked: new Map(), wanted: new Set() }
}

function addRecord (records, name, change, text) {
  const record = parse(text)
  const progress = change === 0 ? progressOf(record) : undefined
  if (progress !== undefined) {
    records.progress = progress
  } else if (change > 0 && typeof record.parked?.cursor === 'string') {
    records.parked.set(change, { change, ...record.parked })
    if (record.wanted === true) records.wanted.add(change)
  } else {
    // If a record is not valid, at least its change is known, so that it can be deleted.
    records.done.add(change)
    if (record.done !== true) records.fault ??= badConsumerRecord(name, change)
  }
}

/** Parses a record; an empty one if the text is not valid. */
function parse (text) {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

/** @returns {Progress | undefined} undefined if it is not a record of this version */
function progressOf ({ version, change, undone, ahead }) {
  const isOurs = version === VERSION && isChange(change) && isChange(ahead) && Array.isArray(undone) && undone.every(isChange)
  if (!isOurs) return undefined
  const pairs = new Map()
  for (let i = 0; i + 1 < undone.length; i += 2) pairs.set(undone[i], undone[i + 1])
  return { change, undone: pairs, ahead }
}

function isChange (value) {
  return Number.isSafeInteger(value) && value >= 0
}

/** @param {Progress} progress */
function progressText ({ change, undone, ahead }) {
  return JSON.stringify({ version: VERSION, change, undone: [...undone].flat(), ahead })
}

/**
 * Finds a parked entry.
 *
 * @param {Map<number, Parked>} parked
 * @param {import('../log/portable-cursor').PortableCursor} cursor
 * @returns {Parked | undefined}
 */
function parkedAt (parked, cursor) {
  for (const entry of parked.values()) {
    if (isAt(cursor, readCursor('cursor', entry.cursor))) return entry
  }
  return undefined
}

/** What is stored about an entry that is parked. */
function parkedOf ({ entry: { cursor, change, name }, made }, error) {
  const parked = { cursor, change, name, attempts: made, reason: cut(reasonOf(error), MAX_REASON), at: Date.now() }
  const stack = stackOf(error)
  if (stack !== undefined) parked.stack = cut(stack, MAX_STACK)
  return parked
}

/** @param {Parked} parked */
function parkedText ({ change, ...parked }, wanted = false) {
  return JSON.stringify({ parked, ...wanted && { wanted } })
}

function cut (text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`
}

/** The record of an entry whose derived events are stored with it. */
const DONE_TEXT = '{"done":true}'

module.exports = { ConsumerRecords, DONE_TEXT, parkedAt, parkedOf, parkedText, progressText }
