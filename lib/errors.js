'use strict'

/**
 * Errors with stable codes. A wrong argument is a TypeError or RangeError thrown at once; what goes wrong later is an
 * Error given to a callback, a promise or `status`.
 */

/** An error with a code, of the class given. */
function coded (code, message, Class = Error) {
  const error = new Class(message)
  error.code = code
  return error
}

/** A wrong argument. */
function badArgument (message, Class = TypeError) {
  return coded('ERR_HYPER_INVALID_ARG', message, Class)
}

/** What everything asked of a closed emitter comes to. */
function closed () {
  return coded('ERR_HYPER_CLOSED', 'the emitter is closed: create a new HyperEmitter on the same store to go on')
}

/** The failure described by a notice of the native half. */
function failure ({ code, message }) {
  return coded(code, message)
}

/** Throws `error` where nobody catches it, outside of whatever runs now. */
function surface (error) {
  process.nextTick(raise, error)
}

function raise (error) {
  throw error
}

module.exports = { coded, badArgument, closed, failure, surface }
