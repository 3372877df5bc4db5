'use strict'

const { optionNotBoolean, optionNotNumber, optionsNotObject } = require('./errors')

/** 1.x's default. The native half or the code below sets the defaults of other options. */
const DEFAULTS = { reconnectTimeout: 1000 }

/** Default of `maxEventSize`: bytes of the largest event container. */
const MAX_EVENT_SIZE = 8 * 1024 * 1024

/**
 * Checks and completes the third argument of the constructor. Unknown options are kept, as in 1.x.
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
  for (const name of ['captureRejections', 'strict', 'readOnly']) {
    const value = options[name]
    if (value !== undefined && typeof value !== 'boolean') throw optionNotBoolean(name, value)
  }
  return options
}

module.exports = { checkOptions, MAX_EVENT_SIZE }
