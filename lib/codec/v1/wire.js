'use strict'

/**
 * Writes and reads scalars like 1.x (protocol-buffers 3.2.1, varint 5), with all its quirks. The interpreter uses these
 * functions for everything, and generated code uses them for uncommon cases.
 *
 * `length(value)` is the number of bytes announced. `write(value, buffer, position)` returns the position after what it wrote;
 * bytes beyond the buffer are dropped, as typed arrays do. `read(buffer, position)` returns the value, and sets
 * `cursor.position` to the position after it.
 */

const { cursor } = require('../shared/cursor')
const { Fault } = require('../shared/faults')

const TWO_31 = 2 ** 31
const TWO_32 = 2 ** 32
const TWO_63 = 2 ** 63

/** Longest varint that 1.x can announce. A longer value would never end (Infinity), or overwrite the next field. */
const MAX_VARINT = 10

function varintLength (value) {
  return value < 128
    ? 1
    : value < 16384
      ? 2
      : value < 2097152
        ? 3
        : value < 268435456
          ? 4
          : value < 34359738368
            ? 5
            : value < 4398046511104
              ? 6
              : value < 562949953421312
                ? 7
                : value < 72057594037927936
                  ? 8
                  : value < TWO_63
                    ? 9
                    : 10
}

function writeVarint (value, buffer, position) {
  const last = position + MAX_VARINT
  while (value >= TWO_31) {
    buffer[position++] = (value & 0xff) | 0x80
    value /= 128
    if (position > last) throw new Fault()
  }
  while (value & -128) {
    buffer[position++] = (value & 0xff) | 0x80
    value >>>= 7
  }
  buffer[position] = value | 0
  return position + 1
}

/**
 * Reads a varint of any length as a double. Beyond 146 bytes it may be Infinity or NaN; a length of NaN would make 1.x loop
 * for ever, so NaN is refused.
 */
function readVarint (buffer, position) {
  // Up to 49 bits, the two halves are whole numbers with an exact sum. Beyond the buffer, `part` is undefined.
  let part = buffer[position]
  let low = part & 0x7f
  if (part < 0x80) return ended(position + 1, low)
  part = buffer[position + 1]
  low |= (part & 0x7f) << 7
  if (part < 0x80) return ended(position + 2, low)
  part = buffer[position + 2]
  low |= (part & 0x7f) << 14
  if (part < 0x80) return ended(position + 3, low)
  part = buffer[position + 3]
  low |= (part & 0x7f) << 21
  if (part < 0x80) return ended(position + 4, low)
  part = buffer[position + 4]
  let high = part & 0x7f
  if (part < 0x80) return ended(position + 5, high * 268435456 + low)
  part = buffer[position + 5]
  high |= (part & 0x7f) << 7
  if (part < 0x80) return ended(position + 6, high * 268435456 + low)
  part = buffer[position + 6]
  high |= (part & 0x7f) << 14
  if (part < 0x80) return ended(position + 7, high * 268435456 + low)
  return readLongVarint(buffer, position)
}

function ended (position, value) {
  cursor.position = position
  return value
}

/** Summed up as 1.x does. */
function readLongVarint (buffer, position) {
  const length = buffer.length
  let value = 0
  let shift = 0
  let byte
  do {
    if (position >= length) throw new RangeError('Could not decode varint')
    byte = buffer[position++]
    value += shift < 28 ? (byte & 0x7f) << shift : (byte & 0x7f) * 2 ** shift
    shift += 7
  } while (byte >= 0x80)
  if (value !== value) throw new RangeError('Could not decode varint: it is beyond the range of numbers') // eslint-disable-line no-self-compare
  cursor.position = position
  return value
}

function int32Length (value) {
  return varintLength(value < 0 ? value + TWO_32 : value)
}

function readInt32 (buffer, position) {
  const value = readVarint(buffer, position)
  return value > 2147483647 ? value - TWO_32 : value
}

function int64Length (value) {
  return value < 0 ? 10 : varintLength(value)
}

/** Not two's complement: the magnitude, padded with continuation bytes to ten. */
function writeInt64 (value, buffer, position) {
  if (!(value < 0)) return writeVarint(value, buffer, position)
  const last = position + 9
  position = writeVarint(value * -1, buffer, position) - 1
  if (position > last) throw new Fault()
  buffer[position] = buffer[position] | 0x80
  while (position < last - 1) buffer[++position] = 0xff
  buffer[last] = 0x01
  return last + 1
}

function readInt64 (buffer, position) {
  const value = readVarint(buffer, position)
  if (!(value >= TWO_63)) return value
  if (cursor.position > cursor.reached) cursor.reached = cursor.position
  let limit = 9
  while (buffer[position + limit - 1] === 0xff) limit--
  limit = limit || 9
  const subset = Buffer.alloc(limit)
  buffer.copy(subset, 0, position, position + limit)
  subset[limit - 1] = subset[limit - 1] & 0x7f
  const magnitude = readVarint(subset, 0)
  cursor.position = position + 10
  return -1 * magnitude
}

/** Zigzag in doubles. */
function zigzag (value) {
  return value >= 0 ? value * 2 : value * -2 - 1
}

function readSigned (buffer, position) {
  const value = readVarint(buffer, position)
  return value & 1 ? (value + 1) / -2 : value / 2
}

function readBool (buffer, position) {
  cursor.position = position + 1
  return buffer[position] > 0
}

/** Number of bytes of a string or Buffer; throws Node's own error for anything else. */
function bytesLength (value) {
  return Buffer.isBuffer(value) ? value.length : Buffer.byteLength(value)
}

function stringLength (value) {
  const length = Buffer.byteLength(value)
  return varintLength(length) + length
}

function writeString (value, buffer, position) {
  const length = Buffer.byteLength(value)
  position = writeVarint(length, buffer, position)
  buffer.write(value, position, length)
  return position + length
}

/** If the length reaches beyond the buffer, the string is what is there. */
function readString (buffer, position) {
  const length = readVarint(buffer, position)
  const start = cursor.position
  const value = buffer.toString('utf-8', start, start + length)
  cursor.position = start + length
  return value
}

function writeBytes (value, buffer, position) {
  const length = bytesLength(value)
  position = writeVarint(length, buffer, position)
  if (Buffer.isBuffer(value)) value.copy(buffer, position)
  else buffer.write(value, position, length)
  return position + length
}

/** A view, not a copy. */
function readBytes (buffer, position) {
  const length = readVarint(buffer, position)
  const start = cursor.position
  const value = buffer.slice(start, start + length)
  cursor.position = start + value.length
  return value
}

function fixed (size, write, read) {
  return {
    length: () => size,
    write (value, buffer, position) {
      buffer[write](value, position)
      return position + size
    },
    read (buffer, position) {
      const value = buffer[read](position)
      cursor.position = position + size
      return value
    }
  }
}

/**
 * Eight raw bytes. After short Buffers, the bytes that are there (zeros) remain; the rest of long ones is overwritten by what
 * follows.
 */
const raw64 = {
  length: () => 8,
  // Called `val` because 1.x's error says "val.copy is not a function".
  write (val, buffer, position) {
    val.copy(buffer, position)
    return position + 8
  },
  read (buffer, position) {
    cursor.position = position + 8
    return buffer.slice(position, position + 8)
  }
}

const varint = { length: varintLength, write: writeVarint, read: readVarint }
const signed = {
  length: (value) => varintLength(zigzag(value)),
  write: (value, buffer, position) => writeVarint(zigzag(value), buffer, position),
  read: readSigned
}

/** The scalars by protobuf's names. */
const scalars = {
  int32: { length: int32Length, write: writeVarint, read: readInt32 },
  int64: { length: int64Length, write: writeInt64, read: readInt64 },
  uint32: varint,
  uint64: varint,
  sint32: signed,
  sint64: signed,
  bool: {
    length: () => 1,
    write (value, buffer, position) {
      buffer[position] = value ? 1 : 0
      return position + 1
    },
    read: readBool
  },
  string: { length: stringLength, write: writeString, read: readString },
  bytes: {
    length (value) {
      const length = bytesLength(value)
      return varintLength(length) + length
    },
    write: writeBytes,
    read: readBytes
  },
  double: fixed(8, 'writeDoubleLE', 'readDoubleLE'),
  float: fixed(4, 'writeFloatLE', 'readFloatLE'),
  fixed32: fixed(4, 'writeUInt32LE', 'readUInt32LE'),
  sfixed32: fixed(4, 'writeInt32LE', 'readInt32LE'),
  fixed64: raw64,
  sfixed64: raw64
}

/** An enum is written and read as one of its numbers. */
function enumeration (type) {
  function check (value) {
    if (!type.numbers.has(value)) throw new Error('Invalid enum value: ' + value)
  }
  return {
    length: varintLength,
    write (value, buffer, position) {
      check(value)
      return writeVarint(value, buffer, position)
    },
    read (buffer, position) {
      const value = readVarint(buffer, position)
      check(value)
      return value
    }
  }
}

/** Whether a value is present for 1.x: null, undefined and NaN are absent. */
function defined (value) {
  return value !== null && value !== undefined && (typeof value !== 'number' || !isNaN(value))
}

/** Moves past an unknown field. */
function skip (wire, buffer, position) {
  switch (wire) {
    case 0:
      readVarint(buffer, position)
      return cursor.position
    case 1:
      return position + 8
    case 2: {
      const length = readVarint(buffer, position)
      return cursor.position + length
    }
    case 3:
    case 4:
      throw new Error('Groups are not supported')
    case 5:
      return position + 4
  }
  throw new Error('Unknown wire type: ' + wire)
}

/** Largest tag that 1.x can write. It announces larger ones with a wrong length, and would write corrupt bytes. */
const MAX_TAG = 2 ** 28 - 1

module.exports = { scalars, enumeration, defined, skip, varintLength, writeVarint, readVarint, MAX_TAG }
