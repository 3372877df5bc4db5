'use strict'

/**
 * UPGRADING.md says how payloads that do not fit their message are stored. This is compared with both encodings, strict and
 * not, and with 1.3.0.
 */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const { createRequire } = require('node:module')
const path = require('node:path')
const { test } = require('node:test')
const { isDeepStrictEqual } = require('node:util')

const { compile } = require('../..')

const SCHEMA = `syntax = "proto2"; message N { optional int32 n = 1; } message M {
  optional int32 int = 1; optional uint32 uint = 2; optional int64 long = 3; optional double num = 4; optional bool flag = 5;
  repeated N list = 6; repeated string texts = 7; optional N nested = 8; map<string, int32> dict = 9;
  optional string text = 10; map<bool, int32> flags = 11; }`

const text = fs.readFileSync(path.join(__dirname, '../../UPGRADING.md'), 'utf8')
const rows = [...text.matchAll(/^\| `(.+)` \| `(.+)` \| (?:`(.+)`|refused) \| `(.+)`( \(standard takes it\))? \|$/gm)]

const evaluate = (code) => new Function(`return (${code})`)() // eslint-disable-line no-new-func

/** The fields that differ from an empty message. */
function stored (message, bytes) {
  const empty = message.decode(Buffer.alloc(0))
  return Object.fromEntries(Object.entries(message.decode(bytes)).filter(([name, value]) => !isDeepStrictEqual(value, empty[name])))
}

test('the table of payloads that do not fit is true of both encodings, and of 1.3.0', () => {
  assert.equal(rows.length, 25)
  // It uses `new Buffer`.
  process.noDeprecation = true
  const original = createRequire(path.join(__dirname, '../oracle/package.json'))('protocol-buffers')(SCHEMA).M
  const own = compile(SCHEMA).M
  const standard = compile(SCHEMA, { protobuf: 'standard', strict: false }).M
  const strict = { own: compile(SCHEMA, { strict: true }).M, standard: compile(SCHEMA, { protobuf: 'standard' }).M }
  for (const [, payload, expected, inStandard, message, taken] of rows) {
    const bytes = own.encode(evaluate(payload))
    assert.equal(bytes.toString('hex'), original.encode(evaluate(payload)).toString('hex'), payload)
    assert.deepEqual(stored(own, bytes), evaluate(expected), payload)
    if (inStandard === undefined) assert.throws(() => standard.encode(evaluate(payload)), { code: 'ERR_HYPER_VALUE', event: 'M' }, payload)
    else assert.deepEqual(stored(standard, standard.encode(evaluate(payload))), evaluate(inStandard), payload)
    assert.throws(() => strict.own.encode(evaluate(payload)), { code: 'ERR_HYPER_VALUE', event: 'M', message }, payload)
    if (taken) strict.standard.encode(evaluate(payload))
    else assert.throws(() => strict.standard.encode(evaluate(payload)), { code: 'ERR_HYPER_VALUE', event: 'M', message }, payload)
  }
})
