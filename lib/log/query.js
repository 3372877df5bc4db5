'use strict'

const { badDemand, badSearch, badTime, liveAndReverse, notAbortSignal, notWholeNumber, outOfRange, queryNotObject } = require('../errors')
const checkKeys = require('../known-keys')
const { readCursor } = require('./portable-cursor')

/** Most names of one item of a search; with more names, all events are read. */
const MAX_NAMES = 64

/** Keys of an item of a query, of a search, of `failIf`, and of the options of `read`. */
const ITEM_KEYS = ['names', 'tags']
const SEARCH_KEYS = [...ITEM_KEYS, 'query']
const CONDITION_KEYS = [...SEARCH_KEYS, 'after']
const READ_KEYS = [...SEARCH_KEYS, 'since', 'until', 'live', 'from', 'to', 'reverse', 'limit', 'raw', 'signal']

/**
 * The options of `read`, checked and completed.
 *
 * @typedef {object} Query
 * @property {number} since only changes after this one
 * @property {import('./portable-cursor').PortableCursor} [cursor] only changes after that of the event it names, in place of `since`
 * @property {number} until only changes up to this one
 * @property {boolean} live wait for more at the end, until the emitter closes
 * @property {object} [filter] only events that match it, from the index
 * @property {Set<string>} [names] only these events
 * @property {boolean} reverse the latest first
 * @property {number} limit most entries
 * @property {boolean} raw do not decode
 * @property {AbortSignal} [signal]
 *
 * @param {object} [opts]
 * @returns {Query}
 */
function checkQuery (opts) {
  if (opts !== undefined && (opts === null || typeof opts !== 'object')) throw queryNotObject()
  checkKeys('read', opts ?? {}, READ_KEYS)
  const { since = 0, until = Infinity, live = false, reverse = false, limit = Infinity, raw = false, signal } = opts ?? {}
  const cursor = isCursor(since) ? readCursor('since', since) : undefined
  if (cursor === undefined) checkChange('since', since)
  if (until !== Infinity) checkChange('until', until)
  if (limit !== Infinity) checkChange('limit', limit)
  if (live && reverse) throw liveAndReverse('read')
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function') throw notAbortSignal()
  return { since: cursor === undefined ? since : 0, cursor, until, live, reverse, limit, raw, signal, ...searchOf(opts ?? {}) }
}

/**
 * The search: a `filter` for the index, or `names` if there are too many for it.
 *
 * @returns {{ filter?: { items: { names: string[], tags: string[] }[], from?: number, to?: number }, names?: Set<string> }}
 */
function searchOf ({ names, tags, query, from, to }) {
  if (query !== undefined && (names !== undefined || tags !== undefined)) throw badSearch('names and tags are given in its items')
  if (names === undefined && tags === undefined && query === undefined && from === undefined && to === undefined) return {}
  const items = query === undefined ? [itemOf({ names, tags })] : listOf(query).map(itemOf)
  const filter = { items: items.filter((item) => item.names.length + item.tags.length > 0), from: timeOf('from', from), to: timeOf('to', to) }
  if (query !== undefined && filter.items.length < items.length) throw badSearch('each of its items has names or tags')
  // An empty list of names matches nothing.
  if (names !== undefined && items[0].names.length === 0) return { names: new Set() }
  if (tags === undefined && items[0]?.names.length > MAX_NAMES && query === undefined && from === undefined && to === undefined) {
    return { names: new Set(items[0].names) }
  }
  return { filter }
}

/**
 * A condition in the core's form: the events that must not have been stored, and the change after which.
 *
 * @param {{ names?: *, tags?: *, query?: *, after?: * }} failIf
 * @returns {{ filter: object, after: number, cursor?: import('./portable-cursor').PortableCursor }} with a cursor, its change is still to
 *   be found
 */
function conditionOf (failIf) {
  if (failIf === null || typeof failIf !== 'object') throw badDemand('failIf', 'it must be an object { query, after }')
  checkKeys('failIf', failIf, CONDITION_KEYS)
  const { names, tags, query, after = 0 } = failIf
  const cursor = isCursor(after) ? readCursor('after', after) : undefined
  if (cursor === undefined) checkChange('after', after)
  const search = searchOf({ names, tags, query })
  if (search.names !== undefined) throw badDemand('failIf', `it has no names, or more than ${MAX_NAMES}`)
  return { filter: search.filter ?? { items: [] }, after: cursor === undefined ? after : 0, cursor }
}

function itemOf (item) {
  if (item === null || typeof item !== 'object') throw badSearch('an item must be an object with names or tags')
  checkKeys('an item of a query', item, ITEM_KEYS)
  return { names: textsOf('names', item.names), tags: textsOf('tags', item.tags) }
}

function textsOf (what, texts) {
  const list = texts === undefined ? [] : typeof texts === 'string' ? [texts] : listOf(texts)
  for (const text of list) if (typeof text !== 'string') throw badSearch(`${what} must be strings`)
  return list
}

function listOf (values) {
  if (values === null || typeof values[Symbol.iterator] !== 'function') throw badSearch('names, tags and items must be lists')
  return [...values]
}

function timeOf (name, time) {
  if (time === undefined) return undefined
  const value = time instanceof Date ? time.getTime() : time
  if (typeof value !== 'number' || !(value >= 0)) throw badTime(name, time)
  return value
}

/** Whether the start is given as a portable cursor, and not as a change. */
function isCursor (since) {
  return typeof since === 'string' || (typeof since === 'object' && since !== null)
}

/** Throws unless `value` can be the number of a change. */
function checkChange (name, value) {
  if (Number.isSafeInteger(value) && value >= 0) return
  throw typeof value === 'number' ? outOfRange(name, value) : notWholeNumber(name, value)
}

module.exports = checkQuery
module.exports.SEARCH_KEYS = SEARCH_KEYS
module.exports.checkChange = checkChange
module.exports.isCursor = isCursor
module.exports.conditionOf = conditionOf
module.exports.searchOf = searchOf
