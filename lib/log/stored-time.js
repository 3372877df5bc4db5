'use strict'

/** The time stored with an event is what its emitter wrote. It may be any whole number, even one that no Date can hold. */

/** The farthest a Date reaches from 1970, in milliseconds (ECMAScript). */
const LAST_DATE = 8.64e15

/**
 * A stored time as ISO 8601 text; as the bare number where no Date can hold it; undefined where there is none.
 *
 * @param {number | null | undefined} time milliseconds since 1970
 * @returns {string | undefined}
 */
function timeText (time) {
  if (time === undefined || time === null) return undefined
  return Math.abs(time) <= LAST_DATE ? new Date(time).toISOString() : String(time)
}

module.exports = { timeText }
