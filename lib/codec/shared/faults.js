'use strict'

/** Errors for values that cannot be encoded, with the path of the field in their messages. */

const { isNativeError } = require('node:util/types')

const { valueFault } = require('../../errors')

/** Thrown deep inside an encoder. While it propagates, the path of the field is added; users get another error made from it. */
class Fault extends Error {
  /**
   * @param {string} [reason] what is wrong; if it is missing, the innermost field describes its value instead
   * @param {Function} [kind] class of the error that users see
   */
  constructor (reason, kind) {
    super(reason)
    this.reason = reason
    this.kind = kind || RangeError
    this.path = undefined
  }
}

/** Paths for errors that are not Faults: those with 1.x's texts, and what users' getters throw. */
const paths = new WeakMap()

/** Adds to the path of `thrown` that it happened in `name`: a field, or an index in brackets. */
function within (thrown, name) {
  if (thrown instanceof Fault) thrown.path = joined(name, thrown.path)
  else if (isNativeError(thrown)) paths.set(thrown, joined(name, paths.get(thrown)))
  return thrown
}

function joined (name, path) {
  return path === undefined ? name : path.startsWith('[') ? name + path : name + '.' + path
}

/**
 * Runs `work` for the message `name`. A fault becomes an error `Message.field: reason`; other errors keep their texts. All get
 * the code `ERR_HYPER_VALUE`, unless they have one, and have the fields `event` (the message) and `field`.
 */
function named (name, work) {
  try {
    return work()
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw isNativeError(thrown) ? valueFault(thrown, name, paths.get(thrown)) : thrown
    const Kind = thrown.kind
    const where = thrown.path === undefined ? name : name + '.' + thrown.path
    throw valueFault(new Kind(`${where}: ${thrown.reason === undefined ? 'the message changed while it was encoded' : thrown.reason}`), name, thrown.path)
  }
}

/** A short text for a value, for error messages. */
function show (value) {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? value.slice(0, 40) + '…' : value)
  if (typeof value === 'object' || typeof value === 'function') return Object.prototype.toString.call(value)
  return String(value)
}

module.exports = { Fault, within, named, show }
