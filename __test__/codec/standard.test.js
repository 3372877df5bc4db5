'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { compile, codecFor, fast } = require('../../lib/codec')
const vectors = require('../data/standard.json')

const standard = (text, more) => compile(text, { protobuf: 'standard', ...more })

// tests/codec_standard.rs checks the same file with prost.
test('bytes and JSON agree with prost', () => {
  for (const { schema, messages } of vectors) {
    const { M } = standard(schema)
    for (const { json, hex } of messages) {
      assert.equal(M.encode(M.fromJSON(json)).toString('hex'), hex, JSON.stringify(json))
      const decoded = M.decode(Buffer.from(hex, 'hex'))
      assert.equal(M.encode(M.fromJSON(JSON.parse(JSON.stringify(M.toJSON(decoded))))).toString('hex'), M.encode(decoded).toString('hex'))
    }
  }
})

test('64-bit values are BigInts beyond 2^53 only', () => {
  const { M } = standard('message M { int64 i = 1; uint64 u = 2; sint64 s = 3; fixed64 f = 4; sfixed64 g = 5; }')
  const value = { i: -(2n ** 63n), u: 2n ** 64n - 1n, s: -(2n ** 63n), f: 2n ** 64n - 1n, g: -(2n ** 60n) }
  assert.deepEqual(M.decode(M.encode(value)), value)
  const small = { i: -1, u: 2 ** 53 - 1, s: -5, f: 7, g: -7 }
  assert.deepEqual(M.decode(M.encode(small)), small)
  assert.equal(M.encode({ i: -1 }).toString('hex'), '08ffffffffffffffffff01')
})

test('out of range values name their field', () => {
  const { M } = standard('message M { int32 i = 1; repeated M m = 2; uint64 u = 3; string s = 4; }')
  assert.throws(() => M.encode({ m: [{ i: 2 ** 31 }] }), { name: 'RangeError', code: 'ERR_HYPER_VALUE', message: /^M\.m\[0\]\.i: 2147483648 is out of range for int32/ })
  assert.throws(() => M.encode({ u: 2n ** 64n }), { name: 'RangeError', message: /^M\.u: / })
  assert.throws(() => M.encode({ s: 5 }), { name: 'TypeError', message: 'M.s: 5 is not a string' })
  assert.throws(() => M.encode({ i: Infinity }), RangeError)
})

test('packed and unpacked lists are both read', () => {
  const { M } = standard('syntax = "proto3"; message M { repeated sint32 a = 1; }')
  assert.deepEqual(M.decode(Buffer.from('0a020102', 'hex')).a, [-1, 1])
  assert.deepEqual(M.decode(Buffer.from('08010802', 'hex')).a, [-1, 1])
})

test('groups, unknown fields and open enums', () => {
  const { M } = standard('syntax = "proto2"; enum E { A = 1; } message M { optional group G = 1 { optional int32 x = 2; } optional E e = 3; }')
  const bytes = M.encode({ g: { x: 5 }, e: 1 })
  assert.equal(bytes.toString('hex'), '0b10050c1801')
  assert.deepEqual(M.decode(Buffer.concat([Buffer.from('7b08057c', 'hex'), bytes, Buffer.from('1809', 'hex')])), { g: { x: 5 }, e: 9 })
})

test('truncated and overlapping bytes are refused', () => {
  const { M } = standard('message M { optional string s = 1; optional M m = 2; }')
  for (const hex of ['0a05', '0a0561', '12030a0561', '08', '0b', '7b', '7b0c', '00', '0f', '80'.repeat(11)]) {
    assert.throws(() => M.decode(Buffer.from(hex, 'hex')), RangeError, hex)
  }
})

test('each mark selects its decoder, whatever the emitter\'s own encoding', () => {
  const text = 'message M { message N { optional int32 i = 1; } optional N n = 1; optional int64 big = 2; }'
  const [old, recent] = [compile(text), standard(text)]
  const value = { n: { i: -1 }, big: -5 }
  for (const { M } of [old, recent]) {
    assert.deepEqual(codecFor(M, 0).decode(old.M.encode(value)), value)
    assert.deepEqual(codecFor(M, 1).decode(recent.M.encode(value)), value)
    assert.equal(codecFor(M, fast(M).encoding), M)
  }
  assert.notEqual(old.M.encode(value).toString('hex'), recent.M.encode(value).toString('hex'))
  const own = { encode () {}, decode () {} }
  assert.equal(codecFor(own, 1), own)
})

test('imports come from texts or directories', (t) => {
  const files = { 'a.proto': 'syntax = "proto3"; package a; message A { int32 x = 1; }' }
  const text = 'syntax = "proto3"; import "a.proto"; message M { a.A a = 1; }'
  assert.equal(compile(text, { include: files }).M.encode({ a: { x: 1 } }).toString('hex'), '0a020801')
  assert.throws(() => compile(text), { code: 'ERR_HYPER_SCHEMA', message: /a\.proto/ })
  const fs = require('node:fs')
  const directory = fs.mkdtempSync(require('node:path').join(require('node:os').tmpdir(), 'hyperemitter-'))
  t.after(() => fs.rmSync(directory, { recursive: true }))
  fs.writeFileSync(directory + '/a.proto', files['a.proto'])
  for (const include of [directory, [directory]]) assert.ok(compile(text, { include }).M)
  assert.throws(() => compile(text, { include: files, protobuf: 'proto9' }), TypeError)
})

test('JSON follows the protobuf mapping', () => {
  const text = `syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/wrappers.proto";
    enum E { A = 0; B = 1; }
    message M { int64 big_number = 1; bytes raw = 2; E e = 3; double d = 4; map<string, E> m = 5; google.protobuf.Timestamp at = 6; google.protobuf.Duration took = 7; google.protobuf.Int32Value maybe = 8; repeated E list = 9; fixed64 f = 10; }`
  const json = { bigNumber: '9007199254740993', raw: 'AQI=', e: 'B', d: 'NaN', m: { k: 'B' }, at: '2024-01-02T03:04:05.000006Z', took: '-1.500s', maybe: 5, list: ['A', 'B'], f: '7' }
  const { M } = standard(text)
  assert.deepEqual(M.toJSON(M.decode(M.encode(M.fromJSON(json)))), json)
  assert.throws(() => M.fromJSON({ nope: 1 }), { code: 'ERR_HYPER_VALUE', message: 'M: "nope" is not a field of M' })
  assert.throws(() => M.fromJSON({ list: ['C'] }), { message: 'M.list[0]: "C" is not a value of enum E' })
  const old = compile(text).M
  assert.deepEqual(old.fromJSON({ f: '7' }).f, Buffer.from('0700000000000000', 'hex'))
  assert.deepEqual(old.toJSON(old.fromJSON({ f: '7', bigNumber: 5 })), { bigNumber: '5', f: '7' })
  assert.throws(() => old.fromJSON({ bigNumber: '9007199254740993' }), RangeError)
  assert.equal(JSON.stringify(old), '{"type":2,"message":true,"name":"M","buffer":true}')
})
