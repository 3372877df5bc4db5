'use strict'

/**
 * Unpacks the core's requests for a database, and packs the answers. The layout of the bytes is described in
 * src/store/level/packing.rs.
 */

const { isAscii } = require('node:buffer')

/** Stands for "no value" where a length is expected. */
const ABSENT = 0xffffffff

/** Marks the length of a value that is text. */
const TEXT = 0x80000000

const EMPTY = Buffer.alloc(0)

/** Reads what follows in `packed` as text. Names are nearly always ASCII, which is several times faster to read. */
function textReader (packed, start, end) {
  return isAscii(packed.subarray(start, end))
    ? (from, to) => packed.latin1Slice(from, to)
    : (from, to) => packed.utf8Slice(from, to)
}

/**
 * @param {Buffer} packed
 * @returns {{ limit: number, keys: string[] }} the keys asked for, and the bytes of values after which to stop
 */
function unpackGet (packed) {
  const count = packed.readUInt32LE(4)
  const keys = new Array(count)
  let at = 8 + 4 * count
  const text = textReader(packed, at, packed.length)
  for (let i = 0; i < count; i++) {
    const end = at + packed.readUInt32LE(8 + 4 * i)
    keys[i] = text(at, end)
    at = end
  }
  return { limit: packed.readUInt32LE(0), keys }
}

/**
 * @param {Buffer} packed
 * @returns {{ from: string, to: string, reverse: boolean, limit: number }[]} half-open ranges
 */
function unpackRanges (packed) {
  const count = packed.readUInt32LE(0)
  const ranges = new Array(count)
  let at = 4 + 16 * count
  const text = textReader(packed, at, packed.length)
  for (let i = 0; i < count; i++) {
    const head = 4 + 16 * i
    const middle = at + packed.readUInt32LE(head + 8)
    const end = middle + packed.readUInt32LE(head + 12)
    ranges[i] = {
      from: text(at, middle),
      to: text(middle, end),
      reverse: packed.readUInt32LE(head) === 1,
      limit: packed.readUInt32LE(head + 4)
    }
    at = end
  }
  return ranges
}

/**
 * @param {Buffer} packed
 * @param {object} make
 * @param {(key: string, value: Buffer) => object} make.put makes an operation that sets a key; the value is a view of `packed`
 * @param {(key: string, value: string) => object} make.putText makes one that sets a key to text
 * @param {(key: string) => object} make.del makes one that removes a key
 * @returns {object[]}
 */
function unpackBatch (packed, make) {
  const count = packed.readUInt32LE(0)
  const ops = new Array(count)
  const keys = 4 + 8 * count
  let values = keys
  for (let i = 0; i < count; i++) values += packed.readUInt32LE(4 + 8 * i)
  const text = textReader(packed, keys, values)
  let at = keys
  for (let i = 0; i < count; i++) {
    const end = at + packed.readUInt32LE(4 + 8 * i)
    const key = text(at, end)
    at = end
    const length = packed.readUInt32LE(8 + 8 * i)
    if (length === ABSENT) {
      ops[i] = make.del(key)
    } else if (length < TEXT) {
      ops[i] = make.put(key, packed.subarray(values, values + length))
      values += length
    } else {
      const end = values + length - TEXT
      ops[i] = make.putText(key, packed.utf8Slice(values, end))
      values = end
    }
  }
  return ops
}

/**
 * @param {(Buffer | undefined)[]} values
 * @returns {Buffer}
 */
function packValues (values) {
  let size = 4 + 4 * values.length
  for (const value of values) if (value !== undefined) size += value.length
  const packed = Buffer.allocUnsafe(size)
  let head = packed.writeUInt32LE(values.length, 0)
  let at = 4 + 4 * values.length
  for (const value of values) {
    head = packed.writeUInt32LE(value === undefined ? ABSENT : value.length, head)
    if (value !== undefined) at += value.copy(packed, at)
  }
  return packed
}

/**
 * @param {[Buffer, Buffer][][]} ranges rows of each range: key and value
 * @returns {Buffer}
 */
function packRows (ranges) {
  let heads = 4
  let size = 0
  for (const rows of ranges) {
    heads += 4 + 8 * rows.length
    for (const [key, value] of rows) size += key.length + value.length
  }
  const packed = Buffer.allocUnsafe(heads + size)
  let head = packed.writeUInt32LE(ranges.length, 0)
  let at = heads
  for (const rows of ranges) {
    head = packed.writeUInt32LE(rows.length, head)
    for (const [key, value] of rows) {
      head = packed.writeUInt32LE(key.length, head)
      head = packed.writeUInt32LE(value.length, head)
      at += key.copy(packed, at)
      at += value.copy(packed, at)
    }
  }
  return packed
}

module.exports = { unpackGet, unpackRanges, unpackBatch, packValues, packRows, EMPTY }
