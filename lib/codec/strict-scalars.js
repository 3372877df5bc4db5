'use strict'

/** Which scalars, numbers of enums and keys of maps the option `strict` accepts: those that decode to the same value. */

const { isUint8Array } = require('node:util/types')

const { Fault, show } = require('./shared/faults')
const { RANGES, isLong } = require('./json/scalars')
const { integer } = require('./standard/scalars')
const { scalars: v1 } = require('./v1/wire')

/**
 * Checks by kind: functions of the value, which throw a `Fault`. `enum` makes one for a type.
 *
 * @param {boolean} standard for standard protobuf; otherwise for 1.x's encoding
 */
function checksOf (standard) {
  const checks = { string: checkString, bytes: checkBytes, bool: checkBool, enum: standard ? openEnum : v1Enum }
  for (const kind of ['float', 'double']) checks[kind] = (value) => checkFloating(kind, value, standard)
  for (const kind of Object.keys(RANGES)) checks[kind] = wholeCheckOf(kind, standard)
  if (!standard) checks.fixed64 = checks.sfixed64 = checkEightBytes
  return checks
}

/** The check of a map's keys, which are text. A key that decodes to another text could overwrite another entry. */
function keyCheckOf (kind, standard) {
  if (kind === 'string') return standard ? checkText : checkV1Key
  if (kind === 'bool') return standard ? checkBoolKey : checkV1BoolKey
  // 1.x's encoder itself refuses enums and 64-bit fixed numbers as keys.
  if (!RANGES[kind] || (!standard && kind.endsWith('fixed64'))) return () => {}
  const check = wholeCheckOf(kind, standard)
  const read = standard && isLong(kind) ? BigInt : Number
  return function (key) {
    if (!/^(0|-?[1-9]\d*)$/.test(key)) throw new Fault(`the key ${show(key)} is not a whole number in plain digits`, TypeError)
    check(read(key))
  }
}

function wholeCheckOf (kind, standard) {
  const [low, high] = RANGES[kind]
  const long = isLong(kind)
  return function (value) {
    if (!Number.isSafeInteger(value) || value < low || value > high) checkOdd(value)
    if (value < 0 && !standard && kind === 'int64') checkV1Int64(value)
  }

  /** Standard protobuf stores BigInts and large numbers exactly, if they are in range. */
  function checkOdd (value) {
    if (typeof value !== 'number' && !(typeof value === 'bigint' && long && standard)) {
      throw new Fault(`${typeof value === 'bigint' ? 'BigInt ' : ''}${show(value)} is not a number`, TypeError)
    }
    integer(value, kind, low, high)
    if (!standard) throw new Fault(`${value} is not exact in 1.x's encoding, which holds whole numbers up to ${Number.MAX_SAFE_INTEGER}: use protobuf: 'standard'`)
  }
}

const scratch = Buffer.alloc(16)

/** 1.x encodes negative int64 in its own way, which changes some of them. */
function checkV1Int64 (value) {
  scratch.fill(0)
  v1.int64.write(value, scratch, 0)
  const decoded = v1.int64.read(scratch, 0)
  if (decoded !== value) throw new Fault(`1.x's encoding turns ${value} into ${decoded}: make the field an sint64, or use protobuf: 'standard'`)
}

function checkFloating (kind, value, standard) {
  if (typeof value !== 'number') throw new Fault(`${show(value)} is not a number`, TypeError)
  if (Number.isNaN(value) && !standard) throw new Fault("NaN counts as absent in 1.x's encoding: leave the field out, or use protobuf: 'standard'")
  if (kind === 'float' && Number.isFinite(value) && !Number.isFinite(Math.fround(value))) throw new Fault(`${value} is out of range for float: make the field a double`)
}

function checkString (value) {
  if (typeof value !== 'string') throw new Fault(`${show(value)} is not a string`, TypeError)
  checkText(value)
}

/** Half a surrogate pair has no UTF-8: it is stored as U+FFFD. */
function checkText (text) {
  if (!text.isWellFormed()) throw new Fault(`${show(text)} has half a surrogate pair`)
}

function checkBytes (value) {
  if (isUint8Array(value)) return
  if (typeof value !== 'string') throw new Fault(`${show(value)} is neither bytes nor text`, TypeError)
  checkText(value)
}

function checkBool (value) {
  if (typeof value !== 'boolean') throw new Fault(`${show(value)} is not true or false`, TypeError)
}

/** 64-bit fixed numbers in 1.x. */
function checkEightBytes (value) {
  if (!Buffer.isBuffer(value) || value.length !== 8) throw new Fault(`${show(value)} is not a Buffer of eight bytes`, TypeError)
}

/** Standard protobuf keeps numbers that have no name; its encoder checks their range. */
function openEnum (type) {
  return function (value) {
    if (typeof value !== 'number' && !(typeof value === 'string' && type.byName.has(value))) throw notOfEnum(type, value)
  }
}

function v1Enum (type) {
  return function (value) {
    if (type.numbers.has(value)) return
    throw notOfEnum(type, value, typeof value === 'string' && Object.hasOwn(type.exported, value) ? `: 1.x's encoding takes its number, ${type.exported[value]}` : '')
  }
}

function notOfEnum (type, value, why = '') {
  return new Fault(`${show(value)} is not a value of enum ${type.name}${why}`, TypeError)
}

function checkBoolKey (key) {
  if (key !== 'true' && key !== 'false') throw new Fault(`the key ${show(key)} is not true or false`, TypeError)
}

function checkV1BoolKey (key) {
  checkBoolKey(key)
  if (key === 'false') throw new Fault("1.x's encoding turns the key false into true: use protobuf: 'standard'")
}

function checkV1Key (key) {
  checkText(key)
  if (key === '__proto__') throw new Fault("1.x's encoding loses the key __proto__: take another one, or use protobuf: 'standard'")
}

module.exports = { checksOf, keyCheckOf }
