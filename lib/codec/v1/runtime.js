'use strict'

/**
 * Functions that generated code calls, because inlining them would not pay off. Each does what `wire.js` does, but faster and
 * only for well-typed values, or throws `ODD`; then the interpreter takes over.
 *
 * Writers return the position after what they wrote. Without room they write nothing, and only count.
 */

const wire = require('./wire')
const { batch, cutsText, readFromText } = require('../shared/batch')
const { overdrawn } = require('../shared/budget')
const { cursor } = require('../shared/cursor')
const { copy, view } = require('../shared/message-pool')
const { readVarint } = wire

/** Thrown for a value that generated code leaves to the interpreter. */
const ODD = new Error('left to the interpreter')

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
const double = new Float64Array(1)
const float = new Float32Array(1)
const doubleBytes = new Uint8Array(double.buffer)
const floatBytes = new Uint8Array(float.buffer)

/** A varint of an integer from 0 to 2^31 - 1. */
function writeInteger (buffer, position, value) {
  while (value > 127) {
    buffer[position++] = (value & 127) | 128
    value >>>= 7
  }
  buffer[position++] = value
  return position
}

/** A varint of a number from 2^31 to 2^53. */
function writeBig (buffer, position, value) {
  // The lowest bits are exact, because bitwise operators take numbers modulo 2^32.
  const low = value & 268435455
  buffer[position] = (low & 127) | 128
  buffer[position + 1] = ((low >>> 7) & 127) | 128
  buffer[position + 2] = ((low >>> 14) & 127) | 128
  buffer[position + 3] = (low >>> 21) | 128
  return writeInteger(buffer, position + 4, ((value - low) / 268435456) | 0)
}

/** Writes any value of a scalar type, and checks its announced length. */
function writeScalar (codec, buffer, position, value) {
  const end = codec.write(value, buffer, position)
  if (end - position !== codec.length(value)) throw ODD
  return end
}

function varintSize (value) {
  return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : value < 268435456 ? 4 : 5
}

/** Up to this length, a loop over character codes is faster than a call into C++. */
const SHORT = 32

/** Length and text of a string. */
function writeString (buffer, position, value) {
  if (typeof value !== 'string') throw ODD
  const length = value.length
  if (length > SHORT) return writeText(buffer, position, value, length)
  let at = position + 1
  let i = 0
  for (; i + 4 <= length; i += 4, at += 4) {
    const a = value.charCodeAt(i)
    const b = value.charCodeAt(i + 1)
    const c = value.charCodeAt(i + 2)
    const d = value.charCodeAt(i + 3)
    if ((a | b | c | d) > 127) return writeText(buffer, position, value, length)
    buffer[at] = a
    buffer[at + 1] = b
    buffer[at + 2] = c
    buffer[at + 3] = d
  }
  for (; i < length; i++) {
    const unit = value.charCodeAt(i)
    if (unit > 127) return writeText(buffer, position, value, length)
    buffer[at++] = unit
  }
  buffer[position] = length
  return at
}

function writeText (buffer, position, value, length) {
  let header = varintSize(length)
  // A UTF-16 unit takes three bytes at most.
  if (position + header + 1 + length * 3 > buffer.length) {
    const size = Buffer.byteLength(value)
    header = varintSize(size)
    if (position + header + size > buffer.length) return position + header + size
  }
  const size = buffer.utf8Write(value, position + header)
  const needed = varintSize(size)
  if (needed !== header) buffer.copyWithin(position + needed, position + header, position + header + size)
  writeInteger(buffer, position, size)
  return position + needed + size
}

/** Length and content of a Buffer, or of a string. */
function writeBytes (buffer, position, value) {
  if (!Buffer.isBuffer(value)) return writeString(buffer, position, value)
  const length = value.length
  position = writeInteger(buffer, position, length)
  const end = position + length
  if (end > buffer.length) return end
  if (length < 32) {
    for (let i = 0; i < length; i++) buffer[position + i] = value[i]
  } else {
    buffer.set(value, position)
  }
  return end
}

/** Eight raw bytes; anything but a Buffer of exactly eight is left to the interpreter. */
function writeRaw64 (buffer, position, value) {
  if (!Buffer.isBuffer(value) || value.length !== 8) throw ODD
  for (let i = 0; i < 8; i++) buffer[position + i] = value[i]
  return position + 8
}

/** On the few machines that store the most significant byte first, index `7 - i` of the bytes is index `i`. */
const HIGH = LITTLE ? 0 : 7
const HIGH_FLOAT = LITTLE ? 0 : 3

function writeDouble (buffer, position, value) {
  double[0] = value
  buffer[position] = doubleBytes[HIGH]
  buffer[position + 1] = doubleBytes[HIGH ^ 1]
  buffer[position + 2] = doubleBytes[HIGH ^ 2]
  buffer[position + 3] = doubleBytes[HIGH ^ 3]
  buffer[position + 4] = doubleBytes[HIGH ^ 4]
  buffer[position + 5] = doubleBytes[HIGH ^ 5]
  buffer[position + 6] = doubleBytes[HIGH ^ 6]
  buffer[position + 7] = doubleBytes[HIGH ^ 7]
  return position + 8
}

function writeFloat (buffer, position, value) {
  float[0] = value
  buffer[position] = floatBytes[HIGH_FLOAT]
  buffer[position + 1] = floatBytes[HIGH_FLOAT ^ 1]
  buffer[position + 2] = floatBytes[HIGH_FLOAT ^ 2]
  buffer[position + 3] = floatBytes[HIGH_FLOAT ^ 3]
  return position + 4
}

function readDouble (buffer, position) {
  // Node's own error at the end of the buffer.
  if (!(position + 8 <= buffer.length)) return buffer.readDoubleLE(position)
  doubleBytes[HIGH] = buffer[position]
  doubleBytes[HIGH ^ 1] = buffer[position + 1]
  doubleBytes[HIGH ^ 2] = buffer[position + 2]
  doubleBytes[HIGH ^ 3] = buffer[position + 3]
  doubleBytes[HIGH ^ 4] = buffer[position + 4]
  doubleBytes[HIGH ^ 5] = buffer[position + 5]
  doubleBytes[HIGH ^ 6] = buffer[position + 6]
  doubleBytes[HIGH ^ 7] = buffer[position + 7]
  return double[0]
}

/** A number from 0 to 2^32 - 1; others are left to the interpreter. */
function writeFixed32 (buffer, position, value) {
  if (typeof value !== 'number' || !(value >= 0 && value <= 4294967295)) throw ODD
  return writeWord(buffer, position, value >>> 0)
}

function writeSfixed32 (buffer, position, value) {
  if (typeof value !== 'number' || !(value >= -2147483648 && value <= 2147483647)) throw ODD
  return writeWord(buffer, position, value | 0)
}

function writeWord (buffer, position, value) {
  buffer[position] = value
  buffer[position + 1] = value >>> 8
  buffer[position + 2] = value >>> 16
  buffer[position + 3] = value >>> 24
  return position + 4
}

/**
 * Writes the length of `[start + 1, end)` before it. One byte is reserved for the length at `start`; if it needs more, the
 * content is moved.
 */
function writeLength (buffer, start, end) {
  const length = end - start - 1
  const extra = varintSize(length) - 1
  if (extra) {
    if (end + extra > buffer.length) return end + extra
    buffer.copyWithin(start + 1 + extra, start + 1, end)
  }
  if (length < 128) buffer[start] = length
  else writeInteger(buffer, start, length)
  return end + extra
}

/**
 * The string in `[start, end)`, if it is too long for generated code to read in place. What is beyond the buffer is missing, as
 * in 1.x.
 */
function readString (buffer, start, end) {
  if (end > buffer.length) return buffer.toString('utf-8', start, end)
  if (cutsText(buffer, start, end)) return readFromText(buffer, start, end)
  return buffer.utf8Slice(start, end)
}

/** The bytes `[start, start + length)`, fewer at the end of the buffer. */
function readBytes (buffer, start, length) {
  const end = Math.min(start + length, buffer.length)
  cursor.position = end
  return batch.on ? copy(buffer, start, end) : view(buffer, start, end)
}

function readRaw64 (buffer, start) {
  const end = Math.min(start + 8, buffer.length)
  // The message may have ended within the field before this one.
  return end <= start ? Buffer.alloc(0) : batch.on ? copy(buffer, start, end) : view(buffer, start, end)
}

module.exports = {
  ODD,
  overdrawn,
  batch,
  readVarint,
  readString,
  readDouble,
  readBytes,
  readRaw64,
  writeInteger,
  writeBig,
  writeScalar,
  writeString,
  writeBytes,
  writeRaw64,
  writeDouble,
  writeFloat,
  writeFixed32,
  writeSfixed32,
  writeLength
}
