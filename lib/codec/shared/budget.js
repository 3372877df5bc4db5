'use strict'

/**
 * Limits how much memory decoding may take. Two bytes can stand for a message of a hundred fields, so before an object is made,
 * roughly its size in V8 is charged.
 */

const { decodesTooLarge } = require('../../errors')

/** Memory allowed per decoded byte. Ordinary messages take two to ten times their bytes. */
const RATIO = 16
/** Memory allowed beyond that, so that small payloads are never refused. */
const ALLOWANCE = 32 * 1024 * 1024
/** The largest budget. Up to here, JavaScript engines use small integers. */
const MOST = 2 ** 30

/** Bytes of a Buffer over existing memory. */
const VIEW = 112
/** Bytes charged for the first element of a list, because V8 allocates room for 17. */
const FIRST = 152
/** Bytes of a map's entry, with its key. */
const ENTRY = 64

/** Below this size a budget is computed in small integers. */
const SMALL = 2 ** 24

/** The budget for `size` bytes, plus `allowance`, which may be the rest of one that several messages share. */
function allow (size, allowance = ALLOWANCE) {
  return size < SMALL ? size * RATIO + allowance | 0 : Math.min(size * RATIO + allowance, MOST)
}

/** Throws the error for a message that takes more. */
function overdrawn () {
  throw decodesTooLarge(RATIO)
}

/** Charges `cost` to `account.left`. */
function charge (account, cost) {
  if ((account.left -= cost) < 0) overdrawn()
}

/** Bytes of a message's object, with its defaults and its slot in a list. */
function costOf (type) {
  return type.fields.reduce((sum, field) => sum + (field.map ? 64 : field.repeated ? 40 : 8), 48)
}

module.exports = { allow, overdrawn, charge, costOf, ALLOWANCE, VIEW, FIRST, ENTRY }
