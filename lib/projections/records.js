'use strict'

const { randomBytes } = require('node:crypto')

const { keptUnreadable } = require('../errors')

/** Version of the record's format. */
const FORMAT = 1

/** Ids of generations: 16 hexadecimal digits. */
const ID = /^[0-9a-f]{16}$/

/** Before the keys of records and of states. */
const RECORDS = 'r!'
const STATES = 's!'

/** The character after `!`: keys with a prefix that ends with `!` are before the prefix that ends with this. */
const BEHIND = '"'

/**
 * The states that one version of a projection has derived.
 *
 * @typedef {object} Generation
 * @property {string} id
 * @property {number} version the user's
 * @property {string} print what decides which events change the states
 * @property {number} change the events up to this change are in the states
 * @property {string | null} at the key of the node with this change, by which it is recognized; null at the beginning
 * @property {number} keys how many keys have a state
 */

/**
 * What the store keeps of a projection, apart from the states (docs/design/consumers.md).
 *
 * @typedef {object} Record
 * @property {Generation} [live] has once reached the end of the log; its states answer
 * @property {Generation} [building] is on its way there
 * @property {string[]} gone ids of generations whose states are being deleted
 */

/** @returns {Generation} */
function newGeneration ({ version, print }) {
  return { id: randomBytes(8).toString('hex'), version, print, change: 0, at: null, keys: 0 }
}

/** @returns {Record} */
function noRecord () {
  return { live: undefined, building: undefined, gone: [] }
}

/** @param {Record} record */
function recordBytes ({ live, building, gone }) {
  return Buffer.from(JSON.stringify({ format: FORMAT, live, building, gone }))
}

/** @returns {Record} throws if it is not one of this version */
function readRecord (key, bytes) {
  if (bytes === undefined) return noRecord()
  let record
  try {
    record = Object(JSON.parse(bytes))
  } catch {
    record = {}
  }
  const { format, live, building, gone } = record
  const isOurs = format === FORMAT && [live, building].every((each) => each === undefined || isGeneration(each)) &&
    Array.isArray(gone) && gone.every((id) => ID.test(id))
  if (!isOurs) throw keptUnreadable(key, 'it is not a record of this version')
  return { live, building, gone }
}

function isGeneration (given) {
  const { id, version, print, change, at, keys } = Object(given)
  return ID.test(id) && typeof print === 'string' && [version, change, keys].every((each) => Number.isSafeInteger(each) && each >= 0) &&
    (at === null || typeof at === 'string')
}

/** The key of a projection's record. */
function recordKey (name) {
  return RECORDS + name
}

/** The first key of all records, and the first behind them. */
const ALL_RECORDS = [RECORDS, RECORDS.replace('!', BEHIND)]

/** The name of the projection of a record. */
function nameOf (key) {
  return key.slice(RECORDS.length)
}

/** What stands before a state's key, and the first key behind all states of a generation. */
function statesOf ({ id }) {
  return { prefix: `${STATES}${id}!`, end: `${STATES}${id}${BEHIND}` }
}

module.exports = { ALL_RECORDS, nameOf, newGeneration, noRecord, readRecord, recordBytes, recordKey, statesOf }
