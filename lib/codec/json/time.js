'use strict'

/** Timestamp and Duration in protobuf JSON: RFC 3339, and seconds with an `s`. */

const { wholeOf } = require('./scalars')
const { mismatch, refusal } = require('./errors')

/** The range of seconds: from the first one of year 1 to the last one of year 9999. */
const FIRST = -62135596800
const LAST = 253402300799
/** Longest duration, in seconds: ten thousand years. */
const LONGEST = 315576000000

/** `seconds` and `nanos` as numbers, absent ones as zero. */
function parts ({ seconds, nanos }, path) {
  const numbers = [seconds, nanos].map((value) => Number(wholeOf(value ?? 0)))
  if (!numbers.every(Number.isSafeInteger) || Math.abs(numbers[1]) > 999999999) throw refusal(path, 'seconds and nanos are out of range', RangeError)
  return numbers
}

/** `.5`, `.000001` …: three, six or nine digits, none for zero. */
function fraction (nanos) {
  const digits = String(Math.abs(nanos)).padStart(9, '0').replace(/(000){1,3}$/, '')
  return digits && '.' + digits
}

const nanosOf = (digits) => Number((digits || '').padEnd(9, '0'))

const timestamp = {
  toJson (mapping, type, object, path) {
    const [seconds, nanos] = parts(object, path)
    if (seconds < FIRST || seconds > LAST || nanos < 0) throw refusal(path, 'a Timestamp is between the years 1 and 9999, its nanos are not negative', RangeError)
    return new Date(seconds * 1000).toISOString().slice(0, 19) + fraction(nanos) + 'Z'
  },

  fromJson (mapping, type, json, path) {
    const match = typeof json === 'string' && /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/.exec(json)
    const [, local, digits, sign, hours, minutes] = match || []
    const ms = Date.parse(local + 'Z')
    // Date.parse accepts February 30 and 24:00; comparing the result with the text finds both.
    if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 19) !== local) throw mismatch(path, json, 'an RFC 3339 time')
    const offset = sign ? Number(sign + 1) * (hours * 3600 + minutes * 60) : 0
    const seconds = ms / 1000 - offset
    if (seconds < FIRST || seconds > LAST) throw mismatch(path, json, 'between the years 1 and 9999', RangeError)
    return { seconds, nanos: nanosOf(digits) }
  }
}

const duration = {
  toJson (mapping, type, object, path) {
    const [seconds, nanos] = parts(object, path)
    if (Math.abs(seconds) > LONGEST || seconds * nanos < 0) throw refusal(path, `a Duration is at most ${LONGEST} seconds, its nanos have the sign of its seconds`, RangeError)
    return `${seconds < 0 || nanos < 0 ? '-' : ''}${Math.abs(seconds)}${fraction(nanos)}s`
  },

  fromJson (mapping, type, json, path) {
    const match = typeof json === 'string' && /^(-?)(\d+)(?:\.(\d{1,9}))?s$/.exec(json)
    if (!match) throw mismatch(path, json, 'a duration such as "1.5s"')
    const sign = match[1] ? -1 : 1
    const seconds = sign * Number(match[2]) + 0
    if (Math.abs(seconds) > LONGEST) throw mismatch(path, json, `a duration of at most ${LONGEST} seconds`, RangeError)
    return { seconds, nanos: sign * nanosOf(match[3]) + 0 }
  }
}

module.exports = { timestamp, duration }
