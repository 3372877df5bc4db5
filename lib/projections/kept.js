'use strict'

const { crc32 } = require('node:zlib')

const { keptUnreadable } = require('../errors')
const { promisedAnswer } = require('../callback')

/** The length that stands for no value (src/js/derived.rs). */
const NOTHING = 0xffffffff

/** Bytes of the checksum before each value. */
const CHECKSUM = 4

/**
 * What projections keep in the store, beside the log: values by key. Each value begins with a checksum over its key and itself, so
 * that one that is not what was written is noticed.
 */
class Kept {
  /**
   * @param {object} core the native half
   * @param {import('../native/requests')} requests
   */
  constructor (core, requests) {
    this.core = core
    this.requests = requests
  }

  /**
   * The values of these keys; undefined where there is none. Rejects if one is not what was written.
   *
   * @param {string[]} keys
   * @returns {Promise<(Buffer | undefined)[]>}
   */
  async get (keys) {
    const values = await promisedAnswer(this.requests, (id) => this.core.askDerived(id, keys), unpack)
    return values.map(([, value], place) => opened(keys[place], value))
  }

  /**
   * Values with keys from `from` up to, but not including, `to`, in the order of the keys' UTF-8 bytes.
   *
   * @param {string} from
   * @param {string} to
   * @param {{ rows: number, bytes: number }} limit a single value may exceed the bytes
   * @returns {Promise<[string, Buffer][]>}
   */
  async range (from, to, limit) {
    const values = await this.values(from, to, limit)
    return values.map(([key, value]) => [key, opened(key, value)])
  }

  /** Like {@link range}, but only the keys, whatever their values are. */
  async keys (from, to, limit) {
    const values = await this.values(from, to, limit)
    return values.map(([key]) => key)
  }

  /** Like {@link range}, with values that are still behind their checksums. */
  values (from, to, { rows, bytes }) {
    return promisedAnswer(this.requests, (id) => this.core.askDerivedRange(id, from, to, rows, bytes), unpack)
  }

  /**
   * Stores values, and deletes those that are undefined, atomically and durably.
   *
   * @param {[string, Buffer | undefined][]} values no key comes twice
   */
  set (values) {
    return promisedAnswer(this.requests, (id) => this.core.setDerived(id, pack(values)), () => undefined, { brief: true })
  }
}

/** Packs values, each behind its checksum. */
function pack (values) {
  const lengths = values.map(([key]) => Buffer.byteLength(key))
  const size = values.reduce((sum, [, value], place) => sum + 8 + lengths[place] + (value === undefined ? 0 : CHECKSUM + value.length), 0)
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const [place, [key, value]] of values.entries()) {
    at = bytes.writeUInt32LE(lengths[place], at)
    at += bytes.write(key, at)
    at = bytes.writeUInt32LE(value === undefined ? NOTHING : CHECKSUM + value.length, at)
    if (value === undefined) continue
    at = bytes.writeUInt32LE(checksum(key, value), at)
    at += value.copy(bytes, at)
  }
  return bytes
}

/** The pairs of key and value, still behind its checksum, in an answer. */
function unpack ({ rows: bytes }) {
  const values = []
  for (let at = 0; at < bytes.length;) {
    const keyEnd = at + 4 + bytes.readUInt32LE(at)
    const key = bytes.toString('utf8', at + 4, keyEnd)
    const length = bytes.readUInt32LE(keyEnd)
    at = keyEnd + 4
    if (length === NOTHING) {
      values.push([key, undefined])
    } else {
      values.push([key, bytes.subarray(at, at + length)])
      at += length
    }
  }
  return values
}

/** A value without its checksum. Throws if it is not what was written. */
function opened (key, value) {
  if (value === undefined) return undefined
  const inner = value.subarray(CHECKSUM)
  if (value.length < CHECKSUM || value.readUInt32LE(0) !== checksum(key, inner)) throw keptUnreadable(key, 'its checksum is wrong')
  return inner
}

function checksum (key, value) {
  return crc32(value, crc32(key))
}

module.exports = { Kept, opened }
