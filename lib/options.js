'use strict'

const { badArgument } = require('./errors')

/** 1.x's defaults; ours come from the native half (src/hyperlog/options.rs). */
const DEFAULTS = { reconnectTimeout: 1000 }

/** The container of the largest event, in bytes, unless `maxEventSize` says otherwise. */
const MAX_EVENT_SIZE = 8 * 1024 * 1024

/**
 * The third argument of the constructor, checked and completed. Unknown ones are kept, as 1.x does.
 *
 * @param {object | null | undefined} given
 */
function checkOptions (given) {
  if (given !== undefined && given !== null && typeof given !== 'object') {
    throw badArgument(`options must be an object, not ${typeof given}`)
  }
  const options = { ...DEFAULTS, ...given }
  for (const name of ['reconnectTimeout', 'maxEventSize', 'maxPending']) {
    const value = options[name]
    if (value === undefined) continue
    if (typeof value !== 'number' || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
      throw badArgument(`${name} must be a number from 0, not ${typeof value === 'number' ? value : typeof value}`, RangeError)
    }
  }
  const { captureRejections } = options
  if (captureRejections !== undefined && typeof captureRejections !== 'boolean') {
    throw badArgument(`captureRejections must be true or false, not ${captureRejections === null ? 'null' : typeof captureRejections}`)
  }
  return options
}

module.exports = { checkOptions, MAX_EVENT_SIZE }
