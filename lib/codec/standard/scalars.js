'use strict'

/**
 * Scalars in standard protobuf. `write(value, writer)` checks; `read(reader)` yields numbers, and BigInts for 64-bit
 * values that a number cannot hold; `zero` is the default and `parse` reads the default of a descriptor.
 */

const { isDate, isNumberObject, isUint8Array } = require('node:util/types')

const { Fault, show } = require('../shared/faults')
const { copy, view } = require('../shared/message-pool')
const { batch } = require('../shared/batch')

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** `value` as a whole number in range. Numbers, BigInts, decimal strings, booleans and Dates are accepted. */
function integer (value, kind, low, high) {
  let number = value
  if (typeof value === 'string' && /^-?\d+$/.test(value)) number = BigInt(value)
  else if (typeof value === 'boolean') number = Number(value)
  else if (isDate(value) || isNumberObject(value)) number = value.valueOf()
  if (typeof number === 'bigint') {
    if (number >= low && number <= high) return number
  } else if (typeof number !== 'number') {
    throw new Fault(`${show(value)} is not an ${kind}`, TypeError)
  } else if (Number.isInteger(number) && number >= low && number <= high) {
    return number
  }
  throw new Fault(`${show(value)} is out of range for ${kind}, which takes whole numbers from ${low} to ${high}`)
}

/** The number, if it is exact; otherwise the BigInt. */
function narrow (value) {
  return value <= MAX_SAFE && value >= -MAX_SAFE ? Number(value) : value
}

function toBig ({ low, high }) {
  return (BigInt(high) << 32n) | BigInt(low)
}

function int (kind, low, high, write, read) {
  return {
    wire: 0,
    zero: 0,
    isZero: (value) => integer(value, kind, low, high) == 0, // eslint-disable-line eqeqeq
    parse: (text) => narrow(BigInt(text)),
    write: (value, writer) => write(integer(value, kind, low, high), writer),
    read
  }
}

const I32 = [-2147483648, 2147483647]
const U32 = [0, 4294967295]
const I64 = [-(2n ** 63n), 2n ** 63n - 1n]
const U64 = [0n, 2n ** 64n - 1n]

/** Negative numbers take ten bytes, even of 32-bit types. */
function writeSigned (value, writer) {
  if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) writer.varint(Number(value))
  else writer.bigVarint(BigInt.asUintN(64, BigInt(value)))
}

function writeZigzag (value, writer) {
  const big = BigInt(value)
  writer.bigVarint(BigInt.asUintN(64, (big << 1n) ^ (big >> 63n)))
}

function readUnsigned (reader) {
  const { low, high } = reader.varint()
  return high < 2097152 ? high * 4294967296 + low : toBig({ low, high })
}

function fixed (kind, size, range, write, read) {
  return {
    wire: size === 4 ? 5 : 1,
    zero: 0,
    isZero: (value) => !Buffer.isBuffer(value) && integer(value, kind, ...range) == 0, // eslint-disable-line eqeqeq
    parse: (text) => narrow(BigInt(text)),
    write (value, writer) {
      // In 1.x, 64-bit values are eight raw bytes, so these are accepted, too.
      if (size === 8 && Buffer.isBuffer(value) && value.length === 8) {
        const at = writer.reserve(8)
        writer.buffer.set(value, at)
        return
      }
      const number = integer(value, kind, ...range)
      const at = writer.reserve(size)
      writer.buffer[write](size === 8 ? BigInt(number) : Number(number), at)
    },
    read (reader) {
      const value = reader.buffer[read](reader.take(size))
      return size === 8 ? narrow(value) : value
    }
  }
}

function floating (size, write, read) {
  return {
    wire: size === 4 ? 5 : 1,
    zero: 0,
    // Minus zero is not the default, so it is written.
    isZero: (value) => Object.is(Number(value), 0),
    parse: (text) => text === 'inf' ? Infinity : text === '-inf' ? -Infinity : Number(text),
    write (value, writer) {
      const number = typeof value === 'number' ? value : typeof value === 'bigint' || (typeof value === 'string' && value.trim() !== '') || typeof value === 'boolean' ? Number(value) : NaN
      if (Number.isNaN(number) && typeof value !== 'number') throw new Fault(`${show(value)} is not a number`, TypeError)
      const at = writer.reserve(size)
      writer.buffer[write](number, at)
    },
    read: (reader) => reader.buffer[read](reader.take(size))
  }
}

function isText (value) {
  if (typeof value !== 'string') throw new Fault(`${show(value)} is not a string`, TypeError)
  return value
}

function bytesOf (value) {
  if (isUint8Array(value)) return value
  return Buffer.from(isText(value))
}

const scalars = {
  int32: int('int32', ...I32, writeSigned, (reader) => reader.varint().low | 0),
  int64: int('int64', ...I64, writeSigned, (reader) => narrow(BigInt.asIntN(64, toBig(reader.varint())))),
  uint32: int('uint32', ...U32, writeSigned, (reader) => reader.varint().low),
  uint64: int('uint64', ...U64, writeSigned, readUnsigned),
  sint32: int('sint32', ...I32, (value, writer) => writer.varint(((Number(value) << 1) ^ (Number(value) >> 31)) >>> 0), function (reader) {
    const { low } = reader.varint()
    return (low >>> 1) ^ -(low & 1)
  }),
  sint64: int('sint64', ...I64, writeZigzag, function (reader) {
    const value = toBig(reader.varint())
    return narrow((value >> 1n) ^ -(value & 1n))
  }),
  fixed32: fixed('fixed32', 4, U32, 'writeUInt32LE', 'readUInt32LE'),
  sfixed32: fixed('sfixed32', 4, I32, 'writeInt32LE', 'readInt32LE'),
  fixed64: fixed('fixed64', 8, U64, 'writeBigUInt64LE', 'readBigUInt64LE'),
  sfixed64: fixed('sfixed64', 8, I64, 'writeBigInt64LE', 'readBigInt64LE'),
  float: floating(4, 'writeFloatLE', 'readFloatLE'),
  double: floating(8, 'writeDoubleLE', 'readDoubleLE'),
  bool: {
    wire: 0,
    zero: false,
    isZero: (value) => !value,
    parse: (text) => text === 'true',
    write: (value, writer) => writer.varint(value ? 1 : 0),
    read (reader) {
      const { low, high } = reader.varint()
      return low !== 0 || high !== 0
    }
  },
  string: {
    wire: 2,
    zero: '',
    isZero: (value) => value === '',
    parse: (text) => text,
    write: (value, writer) => writer.text(isText(value)),
    read (reader) {
      const length = reader.length()
      const start = reader.take(length)
      return reader.buffer.utf8Slice(start, start + length)
    }
  },
  bytes: {
    wire: 2,
    zero: null,
    isZero: (value) => value.length === 0,
    parse: () => null,
    write: (value, writer) => writer.bytes(bytesOf(value)),
    read (reader) {
      const length = reader.length()
      const start = reader.take(length)
      return batch.on ? copy(reader.buffer, start, start + length) : view(reader.buffer, start, start + length)
    }
  }
}

/** Accepts numbers and names. Unknown numbers are kept, as in proto3. */
function enumeration (type) {
  const number = (value) => typeof value === 'string' && type.byName.has(value) ? type.byName.get(value) : integer(value, 'enum ' + type.name, ...I32)
  return {
    wire: 0,
    zero: 0,
    isZero: (value) => Number(number(value)) === 0,
    parse: (text) => type.byName.get(text) ?? 0,
    write: (value, writer) => writeSigned(number(value), writer),
    read: (reader) => reader.varint().low | 0
  }
}

module.exports = { scalars, enumeration, integer }
