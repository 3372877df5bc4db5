'use strict'

/**
 * What generated code calls: the pieces that are not worth inlining. Everything here either does what `wire.js`
 * describes, faster and for well-typed values only, or throws `ODD`, upon which the interpreter takes over.
 *
 * Writers return the position behind what they wrote. Without room they write nothing and go on counting.
 */

const wire = require('./wire')
const { cursor, readVarint } = wire

/** Thrown for a value that generated code leaves to the interpreter. */
const ODD = new Error('left to the interpreter')

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
const double = new Float64Array(1)
const float = new Float32Array(1)
const doubleBytes = new Uint8Array(double.buffer)
const floatBytes = new Uint8Array(float.buffer)

/** A varint of an integer from 128 to 2^31 - 1. */
function writeInteger (buffer, position, value) {
  while (value > 127) {
    buffer[position++] = (value & 127) | 128
    value >>>= 7
  }
  buffer[position++] = value
  return position
}

/** Any value of a scalar type with the announced length checked. */
function writeScalar (codec, buffer, position, value) {
  const end = codec.write(value, buffer, position)
  if (end - position !== codec.length(value)) throw ODD
  return end
}

function varintSize (value) {
  return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : value < 268435456 ? 4 : 5
}

/** Up to this length a loop over character codes beats a call into C++. */
const SHORT = 16

/** Length and text of a string. */
function writeString (buffer, position, value) {
  if (typeof value !== 'string') throw ODD
  const length = value.length
  if (length > SHORT) return writeText(buffer, position, value, length)
  let at = position + 1
  for (let i = 0; i < length; i++) {
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

/** Eight raw bytes; anything but a Buffer of exactly eight is the interpreter's. */
function writeRaw64 (buffer, position, value) {
  if (!Buffer.isBuffer(value) || value.length !== 8) throw ODD
  for (let i = 0; i < 8; i++) buffer[position + i] = value[i]
  return position + 8
}

function writeDouble (buffer, position, value) {
  double[0] = value
  for (let i = 0; i < 8; i++) buffer[position + i] = doubleBytes[LITTLE ? i : 7 - i]
  return position + 8
}

function writeFloat (buffer, position, value) {
  float[0] = value
  for (let i = 0; i < 4; i++) buffer[position + i] = floatBytes[LITTLE ? i : 3 - i]
  return position + 4
}

/** A number from 0 to 2^32 - 1; others are the interpreter's. */
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

/** Puts the length in front of `[start + 1, end)`, for which one byte was kept at `start`; moves it when one is not enough. */
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

/** Text that strings are cut from: one latin1 slice serves all ASCII strings around it. */
const chunk = { buffer: null, text: '', start: 0, end: 0, limit: 0, copies: false }
/** Strings longer than this are read by themselves. */
const LONG = 64
/** Bytes per chunk: a string that is kept pins its chunk. */
const CHUNK = 512

/**
 * Forgets the chunk; to be called before reading bytes that may have changed. Chunks reach up to `limit`. With `copies`
 * bytes fields are copied: the buffer will be used again.
 */
function restart (limit, copies) {
  chunk.buffer = null
  chunk.limit = limit
  chunk.copies = copies
}

/** The string in `[start, end)`; what lies beyond the buffer is missing, as in 1.x. */
function readString (buffer, start, end) {
  const length = end - start
  if (length === 0) return ''
  if (length > LONG || end > buffer.length) return buffer.toString('utf-8', start, end)
  for (let i = start; i < end; i++) {
    if (buffer[i] > 127) return buffer.utf8Slice(start, end)
  }
  if (chunk.buffer !== buffer || start < chunk.start || end > chunk.end) {
    chunk.buffer = buffer
    chunk.start = start
    chunk.end = Math.min(Math.max(chunk.limit, end), start + CHUNK, buffer.length)
    chunk.text = buffer.latin1Slice(start, chunk.end)
  }
  return chunk.text.substring(start - chunk.start, end - chunk.start)
}

/** The view `[start, start + length)`, shortened at the end of the buffer. */
function readBytes (buffer, start, length) {
  const value = view(buffer, start, start + length)
  cursor.position = start + value.length
  return value
}

function readRaw64 (buffer, start) {
  return view(buffer, start, start + 8)
}

function view (buffer, start, end) {
  return chunk.copies ? Buffer.from(buffer.subarray(start, end)) : buffer.subarray(start, end)
}

module.exports = {
  ODD,
  restart,
  readVarint,
  readString,
  readBytes,
  readRaw64,
  writeInteger,
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
