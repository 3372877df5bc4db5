'use strict'

/**
 * What protocol-buffers 3.2.1 was seen to do (`__test__/data/schema.json`, `codec.json`), held against ours, error texts
 * included. Every intended difference is listed here.
 */

const assert = require('node:assert/strict')
const { compile } = require('../../../lib/codec')
const { tag, untag } = require('./tagged')
const schemas = require('../../data/schema.json')
const codec = require('../../data/codec.json')

/** Accepted by 1.x, refused here: there is no sensible meaning. */
const REFUSED = new Set(['tag zero', 'tag negative', 'tag not a number', 'tag too big', 'tag fraction', 'duplicate tags', 'duplicate field names', 'map with message key'])

/** Refused by 1.x, accepted here: valid protobuf, or a comment that 1.x misread. */
const ACCEPTED = new Set(['line comment inside block comment', 'syntax single quotes', 'package qualified reference', 'leading dot reference', 'well known type', 'extensions single', 'extensions list', 'extensions twice', 'message trailing semicolon, top level', 'empty statement, top level', 'group', 'map to nested type', 'packed top level enum', 'string concatenation default'])

/** The schema with duplicate tags and names. */
const REFUSED_SCHEMA = 'dup'

/** 1.x ran out of its buffer half way through writing a negative map key; we say which field it was. */
const OTHER_TEXT = new Map([['The value of "offset" is out of range. It must be >= 0 && <= 7. Received 10', /^M\.is\["-5"\]\.key: "-5" cannot be encoded as int32$/]])

function replay (options) {
  schemas.forEach((vector) => replaySchema(vector, options))
  const compiled = new Map(codec.schemas.filter(({ id }) => id !== REFUSED_SCHEMA).map((schema) => [schema.id, replayShape(schema, options)]))
  const pick = ({ schema, message }) => message.split('.').reduce((object, key) => object[key], compiled.get(schema))
  const known = ({ schema }) => compiled.has(schema)
  codec.encode.filter(known).forEach((vector) => replayEncode(pick(vector), vector))
  codec.decode.filter(known).forEach((vector) => replayDecode(pick(vector), vector))
  return schemas.length + codec.encode.length + codec.decode.length
}

function replaySchema ({ name, proto, ok, keys }, options) {
  const expected = REFUSED.has(name) ? false : ok || ACCEPTED.has(name)
  if (!expected) return assert.throws(() => compile(proto, options), { code: 'ERR_HYPER_SCHEMA' }, name)
  const messages = compile(proto, options)
  if (keys) assert.deepEqual(Object.keys(messages), keys, name)
}

/** Own keys in order, types, names, numbers of parameters. */
function replayShape ({ id, proto, members }, options) {
  const messages = compile(proto, options)
  for (const [name, member] of Object.entries(members)) {
    assert.equal(JSON.stringify(shape(messages[name])), JSON.stringify(member), `${id} ${name}`)
  }
  return messages
}

function shape (value) {
  if (typeof value === 'function') return 'function/' + value.length
  if (typeof value !== 'object') return value
  return Object.fromEntries(Object.keys(value).map((key) => [key, shape(value[key])]))
}

function replayEncode (message, { schema, input, expect }) {
  const what = `encode ${schema} ${JSON.stringify(input)}`
  const encode = () => message.encode(untag(input))
  if (expect.hang || expect.lengthMismatch) return assert.throws(encode, { name: 'RangeError', code: 'ERR_HYPER_VALUE', message: new RegExp(`^${message.name}\\.`) }, what)
  if (expect.error) return assert.throws(encode, errorLike(expect.error), what)
  assert.equal(encode().toString('hex'), expect.hex, what)
  assert.equal(message.encode.bytes, expect.bytes ?? expect.hex.length / 2, what)
}

function errorLike (error) {
  const { name, message, code } = error
  const other = OTHER_TEXT.get(message)
  return other ? { name, message: other } : { name, message, ...code && { code } }
}

function replayDecode (message, { schema, note, hex, expect }) {
  const what = `decode ${schema} ${note}`
  const decode = () => message.decode(Buffer.from(hex, 'hex'))
  if (expect.error) return assert.throws(decode, errorLike(expect.error), what)
  assert.deepEqual(JSON.stringify(tag(decode())), JSON.stringify(expect.value), what)
}

module.exports = { replay, REFUSED, schemas }
