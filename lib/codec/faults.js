'use strict'

/** Values that cannot be encoded, and how the field they were in gets into the message. */

/** Thrown deep inside an encoder. On its way out it collects the path of the field; it never reaches the user as it is. */
class Fault extends Error {
  /**
   * @param {string} [reason] what is wrong; the nearest field describes its value when it is missing
   * @param {Function} [kind] class of the error that users see
   */
  constructor (reason, kind) {
    super(reason)
    this.reason = reason
    this.kind = kind || RangeError
    this.path = undefined
  }
}

/** `err`, knowing that it happened in `name`. */
function within (err, name) {
  if (err instanceof Fault) err.path = err.path === undefined ? name : name + '.' + err.path
  return err
}

/** Runs `work` for the message `name`; a fault leaves as an error with code `ERR_HYPER_VALUE`, `Message.field: reason`. */
function named (name, work) {
  try {
    return work()
  } catch (err) {
    if (!(err instanceof Fault)) throw err
    const Kind = err.kind
    const where = err.path === undefined ? name : name + '.' + err.path
    const error = new Kind(`${where}: ${err.reason === undefined ? 'the message changed while it was encoded' : err.reason}`)
    error.code = 'ERR_HYPER_VALUE'
    throw error
  }
}

/** A value for a message, short. */
function show (value) {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? value.slice(0, 40) + '…' : value)
  if (typeof value === 'object' || typeof value === 'function') return Object.prototype.toString.call(value)
  return String(value)
}

module.exports = { Fault, within, named, show }
