'use strict'

const { inspect } = require('node:util')
const { isNativeError } = require('node:util/types')

/**
 * Errors with stable codes. A wrong argument is a TypeError or RangeError thrown at once; what goes wrong later is an
 * Error given to a callback, a promise or `status`.
 */

const OURS = /^ERR_HYPER_/

/**
 * The class of everything with a code of this module. A wrong argument, a TypeError or RangeError too, is an instance by its
 * code; so is an error that the native half threw, or another copy of this module.
 */
class HyperError extends Error {
  /**
   * @param {string} code one of index.d.ts's `ErrorCode`
   * @param {string} message
   * @param {{ cause?: unknown }} [options]
   */
  constructor (code, message, options) {
    super(message, options)
    this.code = code
  }

  static [Symbol.hasInstance] (value) {
    if (this !== HyperError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return isNativeError(value) && typeof value.code === 'string' && OURS.test(value.code)
  }
}

/** An error with a code: of the class given, else ours, or, if the code is the system's, Node's. */
function coded (code, message, Class = undefined) {
  if (Class === undefined && OURS.test(code)) return new HyperError(code, message)
  const error = new (Class ?? Error)(message)
  error.code = code
  return error
}

/** What somebody threw, in words: users' functions may throw anything. */
function reasonOf (thrown) {
  if (isNativeError(thrown)) return String(thrown.message)
  try {
    return typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 0, breakLength: Infinity })
  } catch {
    return 'something that cannot be printed'
  }
}

/** A wrong argument. */
function badArgument (message, Class = TypeError) {
  return coded('ERR_HYPER_INVALID_ARG', message, Class)
}

/** A place in the log behind its end: of another store, or of this one before it was lost or restored. */
function beyond (name, change, last) {
  return badArgument(`${name} is ${change}, but the log ends with change ${last}: is this the store that the number is from?`, RangeError)
}

/** What everything asked of a closed emitter comes to. */
function closed () {
  return coded('ERR_HYPER_CLOSED', 'the emitter is closed: create a new HyperEmitter on the same store to go on')
}

/** The failure described by a notice of the native half. */
function failure ({ code, message, system }) {
  const error = coded(code, message)
  // The system's name for it (`EADDRINUSE`), where there is one.
  return system === undefined ? error : Object.assign(error, { system })
}

/**
 * What somebody threw, as an error: itself if it is one. Where an error is told from success, undefined and null must not pass
 * for the latter.
 */
function asError (thrown) {
  if (isNativeError(thrown) || thrown instanceof Error) return thrown
  return Object.assign(new Error(reasonOf(thrown)), { cause: thrown })
}

/** A stored event that its codec does not decode. */
function undecodable (cause, name, change) {
  const error = coded('ERR_HYPER_DECODE', `event '${name}' of change ${change} does not decode: ${reasonOf(cause)}`)
  return Object.assign(error, { cause, event: name, change })
}

/** Throws `error` where nobody catches it, outside of whatever runs now. */
function surface (error) {
  process.nextTick(raise, error)
}

function raise (error) {
  throw error
}

module.exports = { HyperError, coded, badArgument, beyond, closed, failure, reasonOf, asError, undecodable, surface }
