'use strict'

/**
 * Random cases beside protocol-buffers 3.2.1, generated code and interpreter each. Intended differences:
 *
 * - where 1.x writes other bytes than it announced (corrupt output), or would never return, we throw a RangeError;
 * - packed lists of bool and 64-bit fixed that claim to reach beyond the buffer are refused, and varints that
 *   are too long for a number: 1.x would fill the memory, or never return.
 */

const random = require('./random')
const { same, outcome, show } = require('./compare')
const { fast, beginBatch } = require('../../../lib/codec')

const CORRUPT = /^RangeError: M\d\./

/**
 * @param {object} options
 * @param {number} options.seed first seed
 * @param {number} options.cases how many cases; one encodes or decodes once
 * @param {Function} options.original `require('protocol-buffers')`
 * @param {(text: string, interpret: boolean) => object} options.compile ours
 * @returns {{ cases: number, encodes: number, decodes: number, refused: number }}
 */
function run ({ seed, cases, original, compile }) {
  const count = { cases: 0, encodes: 0, decodes: 0, refused: 0, errors: 0, drifted: 0 }
  for (; count.cases < cases; seed++) round(seed, original, compile, count)
  return count
}

function round (seed, original, compile, count) {
  const r = random.generator(seed)
  const schema = random.schema(r)
  const fail = (what, details) => {
    throw new Error(`seed ${seed}: ${what}\n${schema.text}\n${Object.entries(details).map(([key, value]) => `${key}: ${show(value)}`).join('\n')}`)
  }
  const theirs = original(schema.text)
  const ours = compile(schema.text, false)
  const interpreted = compile(schema.text, true)
  if (Object.keys(theirs).join() !== Object.keys(ours).join()) fail('keys', { theirs: Object.keys(theirs), ours: Object.keys(ours) })
  for (const message of schema.messages) {
    const codecs = { theirs: theirs[message.name], ours: ours[message.name], interpreted: interpreted[message.name] }
    for (let i = 0; i < 12; i++) {
      const input = random.value(r, schema, message, { odd: i < 4 ? 0 : r.pick([0, 0.05, 0.3]) })
      const bytes = compareEncode(codecs, input, count, fail)
      const decodable = [bytes || Buffer.alloc(0), random.bytes(r, r.below(30))]
      for (let k = 0; k < 4; k++) decodable.push(random.mutate(r, decodable[0]))
      for (const buffer of decodable) compareDecode(codecs, buffer, count, fail, buffer === bytes)
    }
  }
}

function compareEncode (codecs, input, count, fail) {
  count.cases++
  count.encodes++
  const ours = outcome(() => codecs.ours.encode(input))
  const interpreted = outcome(() => codecs.interpreted.encode(input))
  if (!same(ours, interpreted)) fail('generated and interpreted encoders differ', { input, ours, interpreted })
  const into = compareEncodeAt(codecs.ours, input, ours, fail)
  if (ours.error && CORRUPT.test(ours.error)) {
    // 1.x may never return from this one.
    count.refused++
    if (!endless(input)) {
      const theirs = outcome(() => codecs.theirs.encode(input))
      if (!theirs.error && codecs.theirs.encode.bytes === theirs.value.length) fail('refused what 1.x can encode', { input, ours, theirs })
    }
    return null
  }
  const theirs = outcome(() => codecs.theirs.encode(input))
  if (!theirs.error && theirs.value.length !== codecs.theirs.encode.bytes) fail('1.x output is corrupt', { input, ours, theirs })
  if (!same(theirs, ours)) fail('encoders differ', { input, theirs, ours })
  if (ours.error) count.errors++
  else if (codecs.ours.encode.bytes !== codecs.theirs.encode.bytes) fail('encode.bytes', { input })
  return into
}

/** The emit path: encodes into a buffer at an offset, and into one that is too small. */
function compareEncodeAt (codec, input, expected, fail) {
  const pair = fast(codec)
  const room = expected.error ? 100 : expected.value.length
  const ring = Buffer.alloc(room + 3)
  const result = outcome(() => pair.write(input, ring, 3))
  if (expected.error) {
    if (result.error !== expected.error) fail('write and encode throw differently', { input, result, expected })
    return null
  }
  if (result.value !== room + 3 || !ring.subarray(3).equals(expected.value)) fail('write and encode differ', { input, result, expected })
  if (room > 0) {
    const short = outcome(() => pair.write(input, Buffer.alloc(room + 2), 3))
    if (short.value !== -1) fail('write into too small a buffer', { input, short })
  }
  return expected.value
}

/** Whether an integer field may contain Infinity, which 1.x would write without end. */
function endless (value) {
  if (value === Infinity || value === -Infinity) return true
  return typeof value === 'object' && value !== null && !Buffer.isBuffer(value) && Object.values(value).some(endless)
}

function compareDecode (codecs, buffer, count, fail, encoded) {
  count.cases++
  count.decodes++
  const ours = outcome(() => codecs.ours.decode(buffer))
  const interpreted = outcome(() => codecs.interpreted.decode(buffer))
  if (!same(ours, interpreted)) fail('generated and interpreted decoders differ', { buffer: buffer.toString('hex'), ours, interpreted })
  compareDecodeWithin(codecs.ours, buffer, ours, count, fail, encoded)
  compareDecodeWithin(codecs.interpreted, buffer, interpreted, count, fail, encoded)
  if (ours.error && /Could not decode packed|beyond the range of numbers/.test(ours.error)) {
    count.refused++
    return
  }
  const theirs = outcome(() => codecs.theirs.decode(buffer))
  if (!same(theirs, ours)) fail('decoders differ', { buffer: [buffer.toString('hex')].map(String), theirs, ours })
  if (ours.error) count.errors++
  // Beyond 2^53 the order of additions shows.
  else if (codecs.ours.decode.bytes !== codecs.theirs.decode.bytes && codecs.ours.decode.bytes < 2 ** 53) fail('decode.bytes', { buffer: buffer.toString('hex'), ours: codecs.ours.decode.bytes, theirs: codecs.theirs.decode.bytes, value: ours.value })
}

/**
 * The delivery path: decodes a message among other bytes, which must not affect it. Fields with wrong wire types are refused
 * there, but an encoder never writes such fields.
 */
function compareDecodeWithin (codec, buffer, expected, count, fail, encoded) {
  const shared = Buffer.concat([Buffer.from('before'), buffer, Buffer.alloc(40, 0x61)])
  beginBatch(shared, shared.length)
  const result = outcome(() => fast(codec).read(shared, 6, 6 + buffer.length))
  if (!encoded && result.error && /the sender uses another schema$/.test(result.error)) count.drifted++
  else if (!same(result, expected)) fail('read and decode differ', { buffer: buffer.toString('hex'), result, expected })
}

module.exports = { run }
