'use strict'

// Schemas that are far larger than real ones work, or are refused with line and column.

const test = require('node:test')
const assert = require('node:assert/strict')
const { compile } = require('../../lib/codec')

test('a schema with 100,000 messages works', () => {
  const count = 100000
  const messages = compile(Array.from({ length: count }, (_, i) => `message M${i} { optional int32 a = 1; optional M${(i + 1) % count} next = 2; }\n`).join(''))
  assert.equal(Object.keys(messages).length, count)
  const value = { a: 1, next: { a: 2, next: null } }
  assert.deepEqual(messages.M99999.decode(messages.M99999.encode(value)), value)
})

test('a schema that is nested too deeply or too long is refused with line and column', () => {
  const refused = (text, message) => assert.throws(() => compile(text, { file: 'a.proto' }), { code: 'ERR_HYPER_SCHEMA', message })
  refused('message M {\n' + 'message M {'.repeat(100000), /^a\.proto:2:\d+: brackets are nested deeper than 64 levels$/)
  refused('\noption (x) = { ' + 'a <'.repeat(100000), /^a\.proto:2:\d+: brackets are nested deeper/)
  refused('// ' + 'x'.repeat(50e6), /^a\.proto:1:1: the schema and its imports are larger than 16777216 bytes$/)
  // Braces within a statement that is skipped do not close anything.
  refused('message A { reserved } ; '.repeat(10000), /^a\.proto:1:\d+: /)
  refused('message M { optional int32 a = 1; } ' + "\\'".repeat(80000), /^a\.proto:1:37: /)
})
