'use strict'

const { liveAndReverse, notAbortSignal, notWholeNumber, outOfRange, queryNotObject } = require('../errors')

/**
 * The options of `read`, checked and completed.
 *
 * @typedef {object} Query
 * @property {number} since only changes after this one
 * @property {number} until only changes up to this one
 * @property {boolean} live wait for more at the end, until the emitter closes
 * @property {Set<string>} [names] only these events
 * @property {boolean} reverse the latest first
 * @property {number} limit so many at the most
 * @property {boolean} raw do not decode
 * @property {AbortSignal} [signal]
 *
 * @param {object} [opts]
 * @returns {Query}
 */
function checkQuery (opts) {
  if (opts !== undefined && (opts === null || typeof opts !== 'object')) throw queryNotObject()
  const { since = 0, until = Infinity, live = false, names, reverse = false, limit = Infinity, raw = false, signal } = opts ?? {}
  checkChange('since', since)
  if (until !== Infinity) checkChange('until', until)
  if (limit !== Infinity) checkChange('limit', limit)
  if (live && reverse) throw liveAndReverse('read')
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function') throw notAbortSignal()
  return { since, until, live, names: names === undefined ? undefined : setOf(names), reverse, limit, raw, signal }
}

function setOf (names) {
  return new Set(typeof names === 'string' ? [names] : names)
}

/** Throws unless `value` can be the number of a change. */
function checkChange (name, value) {
  if (Number.isSafeInteger(value) && value >= 0) return
  throw typeof value === 'number' ? outOfRange(name, value) : notWholeNumber(name, value)
}

module.exports = checkQuery
module.exports.checkChange = checkChange
