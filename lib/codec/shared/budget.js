'use strict'

/**
 * How much memory decoding may take. Two bytes can stand for a message of a hundred fields, so before anything is made,
 * roughly what it takes in V8 is charged.
 */

const { decodesTooLarge } = require('../../errors')

/** Memory per byte that is decoded. Ordinary messages take two to ten times their bytes. */
const RATIO = 16
/** Memory allowed beyond that, so that small payloads are never refused. */
const ALLOWANCE = 32 * 1024 * 1024
/** The largest budget: engines count in small integers up to here. */
const MOST = 2 ** 30

/** A Buffer over other memory. */
const VIEW = 112
/** The first element of a list: V8 makes room for 17. */
const FIRST = 152
/** An entry of a map, with its key. */
const ENTRY = 64

/** Below this size a budget is computed in small integers. */
const SMALL = 2 ** 24

/** The budget for `size` bytes, with what is left of an allowance that several messages share. */
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

/** What an object of a message takes, with its defaults and its slot in a list. */
function costOf (type) {
  return type.fields.reduce((sum, field) => sum + (field.map ? 64 : field.repeated ? 40 : 8), 48)
}

module.exports = { allow, overdrawn, charge, costOf, ALLOWANCE, VIEW, FIRST, ENTRY }
