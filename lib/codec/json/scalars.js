'use strict'

/** Scalars in protobuf JSON. Reading is strict; writing accepts what the encoders accept. */

const { isDate, isNumberObject, isUint8Array } = require('node:util/types')

const { show } = require('../shared/faults')
const { mismatch } = require('./errors')

const I32 = [-(2 ** 31), 2 ** 31 - 1]
const U32 = [0, 2 ** 32 - 1]
const I64 = [-(2n ** 63n), 2n ** 63n - 1n]
const U64 = [0n, 2n ** 64n - 1n]
const RANGES = { int32: I32, sint32: I32, sfixed32: I32, uint32: U32, fixed32: U32, int64: I64, sint64: I64, sfixed64: I64, uint64: U64, fixed64: U64 }

/** Digits of the longest text that is read as a number. */
const MAX_DIGITS = 1000

const isLong = (kind) => RANGES[kind] === I64 || RANGES[kind] === U64

function scalarToJson (kind, value, path) {
  if (kind === 'bytes') return bytesOf(value, path).toString('base64')
  if (kind === 'string') return textToJson(value, path)
  if (kind === 'bool') return Boolean(value)
  if (kind === 'float' || kind === 'double') return floatToJson(value, path)
  const number = ArrayBuffer.isView(value) && kind.endsWith('fixed64') ? fromRaw(kind, value) : wholeOf(value)
  if (number === undefined) throw mismatch(path, value, 'a whole number')
  return isLong(kind) ? String(BigInt(number)) : Number(number) + 0
}

/** The JSON form of a scalar's default. */
function zeroToJson (kind) {
  if (kind === 'bytes' || kind === 'string') return ''
  if (kind === 'bool') return false
  return isLong(kind) ? '0' : 0
}

/** @param {boolean} v1 64-bit integers are numbers, or eight bytes if the type is fixed */
function scalarFromJson (kind, json, path, v1) {
  if (kind === 'bytes') return bytesFromJson(json, path)
  if (kind === 'string') return textFromJson(json, path)
  if (kind === 'bool') {
    if (typeof json !== 'boolean') throw mismatch(path, json, 'a boolean')
    return json
  }
  if (kind === 'float' || kind === 'double') return floatFromJson(kind, json, path)
  const value = wholeFromJson(kind, json, path)
  return isLong(kind) ? longFromJson(kind, BigInt(value), path, v1) : Number(value) + 0
}

/** Map keys are text. Only one spelling of a key is accepted, so that two members are never the same key. */
function keyFromJson (kind, text, path, v1) {
  if (kind === 'string') return textFromJson(text, path)
  if (kind === 'bool') {
    if (text !== 'true' && text !== 'false') throw mismatch(path, text, 'true or false')
    if (v1 && text === 'false') throw mismatch(path, text, "a key that 1.x can encode (protobuf: 'standard' can)", RangeError)
    return text
  }
  if (String(wholeFromJson(kind, text, path)) !== text) throw mismatch(path, text, 'a whole number in plain digits')
  return text
}

function bytesOf (value, path) {
  if (isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (typeof value !== 'string') throw mismatch(path, value, 'bytes')
  return Buffer.from(value)
}

/** Reads base64 in both alphabets, with or without padding. */
function bytesFromJson (json, path) {
  const data = typeof json === 'string' ? json.replace(/={1,2}$/, '') : ' '
  const padded = data.length !== json?.length
  if (/[^\w+/-]/.test(data) || data.length % 4 === 1 || (padded && json.length % 4 !== 0)) throw mismatch(path, json, 'base64 text')
  return Buffer.from(data, 'base64')
}

function textToJson (value, path) {
  if (isUint8Array(value)) return bytesOf(value).toString()
  if (typeof value !== 'string') throw mismatch(path, value, 'a string')
  return value.toWellFormed()
}

/** UTF-8 cannot hold lone surrogates. */
function textFromJson (json, path) {
  if (typeof json !== 'string') throw mismatch(path, json, 'a string')
  if (!json.isWellFormed()) throw mismatch(path, json, 'well-formed Unicode')
  return json
}

function floatToJson (value, path) {
  const number = typeof value === 'object' || typeof value === 'symbol' ? NaN : Number(value)
  if (Number.isNaN(number) && typeof value !== 'number') throw mismatch(path, value, 'a number')
  // JSON.stringify would drop the sign of zero; readers take numbers as text.
  return Object.is(number, -0) ? '-0' : Number.isFinite(number) ? number : String(number)
}

function floatFromJson (kind, json, path) {
  if (json === 'NaN' || json === 'Infinity' || json === '-Infinity') return Number(json)
  const isNumber = typeof json === 'string' ? /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(json) : typeof json === 'number' && !Number.isNaN(json)
  if (!isNumber) throw mismatch(path, json, 'a number')
  const number = Number(json)
  if (!Number.isFinite(kind === 'float' ? Math.fround(number) : number)) throw mismatch(path, json, `in the range of a ${kind}`, RangeError)
  return number
}

/** The eight bytes of a 64-bit fixed field in 1.x, which may be fewer. */
function fromRaw (kind, value) {
  const bytes = Buffer.alloc(8)
  bytes.set(new Uint8Array(value.buffer, value.byteOffset, Math.min(8, value.byteLength)))
  return kind === 'fixed64' ? bytes.readBigUInt64LE() : bytes.readBigInt64LE()
}

/** A whole number that encoders accept, or undefined. */
function wholeOf (value) {
  if (isDate(value) || isNumberObject(value)) value = value.valueOf()
  if (typeof value === 'boolean') return Number(value)
  if (typeof value === 'string') return value.length < MAX_DIGITS && /^-?\d+$/.test(value) ? BigInt(value) : undefined
  if (typeof value === 'number') return Number.isFinite(value) ? Math.trunc(value) : undefined
  return typeof value === 'bigint' ? value : undefined
}

/** A whole number in range: a number if it was a number, otherwise a BigInt. */
function wholeFromJson (kind, json, path) {
  const value = typeof json === 'string' ? wholeFromText(json) : typeof json === 'bigint' || Number.isInteger(json) ? json : undefined
  if (value === undefined) throw mismatch(path, json, 'a whole number')
  const [low, high] = RANGES[kind]
  if (value < low || value > high) throw mismatch(path, json, `a whole number from ${low} to ${high}`, RangeError)
  return value
}

/** A number in JSON's syntax, if it is whole: `1e3` and `5.0` are. */
function wholeFromText (text) {
  const match = text.length < MAX_DIGITS && /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text)
  if (!match) return undefined
  const [, sign, whole, fraction = '', exponent = 0] = match
  const value = BigInt(sign + whole + fraction)
  const shift = Number(exponent) - fraction.length
  // Beyond these bounds only zero is in range and whole.
  if (shift >= 0) return value * 10n ** BigInt(Math.min(shift, 20))
  const unit = 10n ** BigInt(Math.min(-shift, MAX_DIGITS))
  return value % unit === 0n ? value / unit : undefined
}

function longFromJson (kind, value, path, v1) {
  if (v1 && kind.endsWith('fixed64')) {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
    return bytes
  }
  if (Number.isSafeInteger(Number(value))) return Number(value)
  if (v1) throw mismatch(path, value, "a number below 2^53 (protobuf: 'standard' takes larger ones)", RangeError)
  return value
}

/** Names and numbers of an enum. 1.x reads its numbers in decimal. */
function enumTable (type, v1) {
  const pairs = v1 ? Object.keys(type.exported).map((name) => [name, parseInt(type.exported[name], 10)]) : type.standard
  return {
    type,
    closed: v1,
    isNull: type.full === 'google.protobuf.NullValue',
    first: pairs.length > 0 ? pairs[0][1] : 0,
    byName: new Map(pairs),
    // If several names have the same number, the first is used.
    byNumber: new Map(pairs.slice().reverse().map(([name, number]) => [number, name]))
  }
}

function enumToJson (table, value, path) {
  const number = table.byName.get(value) ?? wholeOf(value)
  if (number === undefined) throw mismatch(path, value, 'a value of enum ' + table.type.name)
  if (table.isNull) return null
  return table.byNumber.get(Number(number)) ?? Number(number)
}

function enumFromJson (table, json, path) {
  if (json === null && table.isNull) return table.first
  if (typeof json === 'string' && table.byName.has(json)) return table.byName.get(json)
  const known = table.byNumber.has(json) || (!table.closed && Number.isInteger(json) && json >= I32[0] && json <= I32[1])
  if (!known) throw mismatch(path, json, 'a value of enum ' + table.type.name)
  return json + 0
}

/** The path of a map's entry or a list's item. */
const within = (path, key) => `${path}[${typeof key === 'string' ? show(key) : key}]`

module.exports = { RANGES, isLong, scalarToJson, scalarFromJson, zeroToJson, keyFromJson, wholeOf, bytesOf, enumTable, enumToJson, enumFromJson, within }
