'use strict'

const { optionNotBoolean, optionNotNumber, optionsNotObject } = require('./errors')

/** 1.x's default. The other options that have one get it from the native half, or below. */
const DEFAULTS = { reconnectTimeout: 1000 }

/** The container of the largest event, in bytes, unless `maxEventSize` says otherwise. */
const MAX_EVENT_SIZE = 8 * 1024 * 1024

/**
 * The third argument of the constructor, checked and completed. Unknown ones are kept, as 1.x does.
 *
 * @param {object | null | undefined} given
 */
function checkOptions (given) {
  if (given !== undefined && given !== null && typeof given !== 'object') throw optionsNotObject(given)
  const options = { ...DEFAULTS, ...given }
  for (const name of ['reconnectTimeout', 'maxEventSize', 'maxPending']) {
    const value = options[name]
    if (value === undefined) continue
    if (typeof value !== 'number' || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw optionNotNumber(name, value)
  }
  for (const name of ['captureRejections', 'strict']) {
    const value = options[name]
    if (value !== undefined && typeof value !== 'boolean') throw optionNotBoolean(name, value)
  }
  return options
}

module.exports = { checkOptions, MAX_EVENT_SIZE }
