'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { runInNewContext } = require('node:vm')
const { compile } = require('../..')
const { lineReader, toFullLine, toJson, toLine } = require('../../lib/cli/json')
const { Schema } = require('../../lib/cli/schema')

const TEXT = `
enum Colour { RED = 0; BLUE = 5; }
message Blob {
  message Part { optional bytes piece = 1; }
  optional bytes body = 1;
  repeated bytes more = 2;
  optional Part part = 3;
  repeated Part parts = 4;
  map<string, bytes> named = 5;
  optional Colour colour = 6;
  optional string text = 7;
  optional fixed64 wide = 8;
}`

const messages = compile(TEXT)
const schema = new Schema(messages)

/** A line through a codec and back. */
function through (line, form) {
  const { name, payload } = lineReader(schema, form)(line)
  return toLine({ name, payload: messages[name].decode(messages[name].encode(payload)) })
}

test('bytes are printed as base64 and read as such, at every depth', () => {
  const payload = {
    body: 'AQID',
    more: ['', '/+8='],
    part: { piece: 'AA==' },
    parts: [{ piece: 'AQ==' }, { piece: null }],
    named: { a: 'Ag==' },
    colour: 5,
    text: 'AQID',
    wide: 'AAAAAAAAAAE='
  }
  const line = JSON.stringify({ name: 'Blob', payload }) + '\n'
  assert.equal(through(line), line)
  const { payload: read } = lineReader(schema)(line)
  assert.deepEqual(read.body, Buffer.from([1, 2, 3]))
  assert.deepEqual(read.more[1], Buffer.from([0xff, 0xef]))
  assert.deepEqual(read.named.a, Buffer.from([2]))
  assert.equal(read.text, 'AQID', 'a string field stays text')
})

test("1.x's form of bytes is read, and so is text in place of bytes", () => {
  const read = lineReader(schema)
  assert.deepEqual(read('{"name":"Blob","payload":{"body":{"type":"Buffer","data":[1,2]}}}').payload.body, Buffer.from([1, 2]))
  assert.deepEqual(read('{"name":"Blob","payload":{"more":[{"type":"Buffer","data":[]}]}}').payload.more[0], Buffer.alloc(0))
  assert.deepEqual(read('{"name":"Blob","payload":{"body":"hello, world"}}').payload.body, Buffer.from('hello, world'))
  assert.deepEqual(lineReader(schema, 'text')('{"name":"Blob","payload":{"body":"text"}}').payload.body, Buffer.from('text'))
  assert.throws(() => lineReader(schema, 'base64')('{"name":"Blob","payload":{"body":"hello!"}}'), /Blob\.body is not base64/)
})

test('an event without a codec is marked, so that its text and its bytes can be distinguished', () => {
  const line = toLine({ name: 'Other', raw: Buffer.from('text') })
  assert.equal(line, '{"name":"Other","payload":"dGV4dA==","encoding":"base64"}\n')
  const read = lineReader(null)
  assert.deepEqual(read(line), { name: 'Other', payload: Buffer.from('text') })
  assert.equal(read('{"name":"Other","payload":"dGV4dA=="}').payload, 'dGV4dA==')
  assert.deepEqual(read('{"name":"Other","payload":{"type":"Buffer","data":[116]}}').payload, Buffer.from('t'))
  assert.throws(() => read('{"name":"Other","payload":"?","encoding":"base64"}'), /not base64/)
})

test('names of enum values are read as their numbers', () => {
  assert.equal(lineReader(schema)('{"name":"Blob","payload":{"colour":"BLUE"}}').payload.colour, 5)
  assert.equal(lineReader(schema)('{"name":"Blob","payload":{"colour":"GREEN"}}').payload.colour, 'GREEN')
})

test("lines may be in protobuf's JSON mapping, also without a cursor", () => {
  const text = `import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/any.proto";
    message M { optional google.protobuf.Timestamp at = 1; optional google.protobuf.StringValue s = 2; optional google.protobuf.Struct j = 3; optional google.protobuf.Any any = 4; optional int64 n = 5; optional sfixed64 w = 6; optional bytes b = 7; optional string text = 8; repeated double d = 9; }`
  const read = lineReader(new Schema(compile(text)))
  const payload = (json, more) => read(JSON.stringify({ name: 'M', payload: json, ...more })).payload
  assert.deepEqual(payload({ at: '1970-01-01T00:00:05Z' }).at, { seconds: 5, nanos: 0 })
  assert.deepEqual(payload({ s: '' }).s, { value: '' })
  assert.deepEqual(payload({ j: { x: true } }).j, { fields: { x: { bool_value: true } } })
  assert.equal(payload({ any: { '@type': 'x/M', text: 'a' } }).any.value.toString('hex'), '420161')
  assert.deepEqual(payload({ w: '-1' }).w, Buffer.alloc(8, 255))
  assert.deepEqual(payload({ n: '12', d: ['1e3', 'Infinity'], text: '12', b: 'QUI=' }), { n: 12, d: [1000, Infinity], text: '12', b: Buffer.from('AB') })
  assert.throws(() => payload({ at: 'yesterday' }), { code: 'ERR_HYPER_VALUE', message: /^M\.at: / })
  // What decoders give, and `export` and sessions print.
  const plain = { at: { seconds: 5, nanos: 0 }, s: { value: '' }, j: { fields: { fields: { bool_value: true } } }, any: { type_url: 'x/M', value: 'QUI=' }, w: 'AQAAAAAAAAA=', b: 'text!' }
  assert.deepEqual(payload(plain), { ...plain, any: { type_url: 'x/M', value: Buffer.from('AB') }, w: Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), b: Buffer.from('text!') })
  // The cursor of `log --json` tells what could be either.
  const place = { log: 'l', seq: 1, key: 'k', cursor: 'l:1:k' }
  assert.deepEqual(payload({ j: { fields: 5 } }, place).j, { fields: { fields: { number_value: 5 } } })
  assert.deepEqual(payload({ j: { fields: {} } }, { ...place, error: 'no JSON form' }).j, { fields: {} })
})

test('values that JSON has no form for are written as strings', () => {
  assert.equal(toJson(runInNewContext('new Uint8Array([120])')), 'eA==')
  assert.deepEqual(toJson({ a: 2n ** 63n, b: Infinity, c: NaN, d: [Buffer.from('x')] }), { a: '9223372036854775808', b: 'Infinity', c: 'NaN', d: ['eA=='] })
})

test('keys with a special meaning in JavaScript are ordinary keys', () => {
  const { payload } = lineReader(schema)('{"name":"Blob","payload":{"__proto__":{"text":"x"},"text":"y"}}')
  assert.equal(Object.getPrototypeOf(payload), Object.prototype)
  assert.equal(payload.text, 'y')
  assert.equal(JSON.stringify(toJson(JSON.parse('{"__proto__":1}'))), '{"__proto__":1}')
})

test('a line that is not an event is refused', () => {
  for (const line of ['null', '5', '"x"', 'true']) assert.throws(() => lineReader(null)(line), /not an event/)
  assert.throws(() => lineReader(null)('{oops'), SyntaxError)
})

test('the full form has the event\'s change, log and seq', () => {
  const event = { change: 3, time: Date.UTC(2026, 0, 1), log: 'l', seq: 2, key: 'k', links: ['j'], name: 'Other', raw: Buffer.from('x') }
  assert.equal(toFullLine(event), '{"change":3,"time":"2026-01-01T00:00:00.000Z","log":"l","seq":2,"key":"k","links":["j"],"name":"Other","payload":"eA==","encoding":"base64"}\n')
  assert.doesNotMatch(toFullLine({ ...event, time: undefined }), /time/)
})
