'use strict'

/** Whether a user could not tell two values apart: compares types, key order, NaN, the sign of zero, bytes. */
function same (a, b) {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return Object.is(a, b)
  if (Buffer.isBuffer(a) || Buffer.isBuffer(b)) return Buffer.isBuffer(a) && Buffer.isBuffer(b) && a.equals(b)
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  const others = Object.keys(b)
  return keys.length === others.length && keys.every((key, i) => key === others[i] && same(a[key], b[key]))
}

/** The outcome of a call: its value, or the error's class and text. */
function outcome (work) {
  try {
    return { value: work() }
  } catch (err) {
    return { error: `${err.name}: ${err.message}` }
  }
}

/** A value for a failure report. */
function show (value) {
  return require('node:util').inspect(value, { depth: 8, maxStringLength: 80, breakLength: 160 })
}

module.exports = { same, outcome, show }
