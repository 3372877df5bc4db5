'use strict'

/** The last moment that a Date holds, in milliseconds since 1970 (ECMA-262, "Time Values and Time Range"). */
const MAX_TIME = 8.64e15

/**
 * A stored time as ISO 8601. Whoever emitted the event wrote the number, so it may be anything up to 2^64 - 1.
 * @param {number|undefined|null} time milliseconds since 1970
 * @returns {string|undefined} undefined if there is none (events of 1.x), or no date has it
 */
function isoTime (time) {
  return Number.isFinite(time) && Math.abs(time) <= MAX_TIME ? new Date(time).toISOString() : undefined
}

module.exports = { MAX_TIME, isoTime }
