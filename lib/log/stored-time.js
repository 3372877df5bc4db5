'use strict'

/** The time stored with an event is what its emitter wrote: any whole number, even one beyond the range of Date. */

/** The range of Date around 1970, in milliseconds (ECMAScript). */
const LAST_DATE = 8.64e15

/**
 * A stored time as ISO 8601 text; the number as text if it is beyond the range of Date; undefined if there is none.
 *
 * @param {number | null | undefined} time milliseconds since 1970
 * @returns {string | undefined}
 */
function timeText (time) {
  if (time === undefined || time === null) return undefined
  return Math.abs(time) <= LAST_DATE ? new Date(time).toISOString() : String(time)
}

module.exports = { timeText }
