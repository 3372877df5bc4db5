'use strict'

/** Errors of the JSON mapping: they name the field's path. */

const { show } = require('../faults')

/** `M.list[0]: why`, with code `ERR_HYPER_VALUE`. */
function refusal (path, why, Kind) {
  const error = new (Kind || TypeError)(`${path}: ${why}`)
  error.code = 'ERR_HYPER_VALUE'
  return error
}

/** `M.list[0]: "x" is not a number`. */
function mismatch (path, value, wanted, Kind) {
  return refusal(path, `${show(value)} is not ${wanted}`, Kind)
}

module.exports = { refusal, mismatch }
