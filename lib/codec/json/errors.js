'use strict'

/** Errors of the JSON mapping: they name the field's path. */

const { badJson, badJsonRange } = require('../../errors')
const { show } = require('../shared/faults')

/** `M.list[0]: why`, with code `ERR_HYPER_VALUE`. */
function refusal (path, why, Kind) {
  return Kind === RangeError ? badJsonRange(path, why) : badJson(path, why)
}

/** `M.list[0]: "x" is not a number`. */
function mismatch (path, value, wanted, Kind) {
  return refusal(path, `${show(value)} is not ${wanted}`, Kind)
}

module.exports = { refusal, mismatch }
