'use strict'

// Recursive schemas. 1.x writes some of their fields bare: as wire type 0 and without a length. See
// src/codec/v1/bare_fields.rs.

const test = require('node:test')
const assert = require('node:assert/strict')
const { createRequire } = require('node:module')
const path = require('node:path')
const { compile, fast, codecFor, marks } = require('../../lib/codec')
const { run } = require('./support/recursive')

const load = createRequire(path.join(__dirname, '..', 'oracle', 'package.json'))
process.noDeprecation = true // it uses `new Buffer`
const original = load('protocol-buffers')

const hex = (buffer) => buffer.toString('hex')
const OUTER = 'message A { message C { optional A a = 1; } optional int32 x = 1; optional C c = 2; }'
const TREE = 'message Tree { required int32 id = 1; message Kid { optional Tree tree = 1; } repeated Kid kids = 2; }'
const EXAMPLES = [
  [OUTER, 'A', { c: { a: { x: 1 } } }, '1203080801'],
  [TREE, 'Tree', { id: 1, kids: [{ tree: { id: 2, kids: [] } }] }, '0801120308' + '0802'],
  ['message A { message C { optional D d = 1; } optional int32 x = 1; } message D { optional A a = 1; }', 'D', { a: { x: 1 } }, '080801'],
  ['message D { optional A a = 1; } message A { message C { optional D d = 1; } optional int32 x = 1; }', 'D', { a: { x: 1 } }, '0a020801'],
  ['message A { message C { map<string, A> m = 1; } optional int32 x = 1; optional C c = 2; }', 'A', { c: { m: { k: { x: 1 } } } }],
  ['message A { message C { repeated A a = 1; } required int32 x = 1; optional C c = 2; }', 'A', { x: 2, c: { a: [{ x: 1 }] } }]
]

for (const interpret of [false, true]) {
  test(`bare fields as protocol-buffers 3.2.1 writes and reads them${interpret ? ', interpreted' : ''}`, () => {
    for (const [text, name, value, expected] of EXAMPLES) {
      const theirs = original(text)[name]
      const ours = compile(text, { interpret })[name]
      const bytes = hex(theirs.encode(value))
      if (expected) assert.equal(bytes, expected)
      assert.equal(hex(ours.encode(value)), bytes, text)
      assert.equal(ours.encodingLength(value), theirs.encodingLength(value))
      assert.deepEqual(ours.decode(Buffer.from(bytes, 'hex')), theirs.decode(Buffer.from(bytes, 'hex')), text)
    }
  })
}

test('random recursive schemas beside protocol-buffers 3.2.1', (t) => {
  const cases = Number(process.env.FUZZ_CASES || 6000)
  const count = run({ seed: Number(process.env.FUZZ_SEED || 1), cases, original, compile: (text, interpret) => compile(text, { interpret }) })
  t.diagnostic(JSON.stringify(count))
  assert.ok(count.bare > cases / 20, 'bare fields were met')
})

test('events of early 2.0 builds, of 1.x, and new events of recursive schemas are all decoded', () => {
  for (const protobuf of ['1.x', 'standard']) {
    const { Tree } = compile(TREE, { protobuf })
    const expected = { id: 1, kids: [{ tree: { id: 2, kids: [] } }] }
    const read = (mark, bytes) => {
      const pair = fast(codecFor(Tree, mark))
      return pair.read(Buffer.from('ff' + bytes + 'ffff', 'hex'), 1, 1 + bytes.length / 2)
    }
    assert.deepEqual(read(marks.PLAIN, '080112040a020802'), expected)
    assert.deepEqual(read(marks.EXACT, '08011203080802'), expected)
    assert.deepEqual(read(marks.STANDARD, '080112040a020802'), expected)
  }
  assert.equal(fast(compile(TREE).Tree).encoding, marks.EXACT)
  assert.equal(fast(compile('message M { optional M m = 1; }').M).encoding, marks.PLAIN)
})

test('a message without bare fields is decoded by the same codec under both marks', () => {
  const { M } = compile('message M { optional M m = 1; }')
  assert.equal(codecFor(M, marks.EXACT), M)
  assert.equal(codecFor(M, marks.PLAIN), M)
})

test('emit refuses a message that 1.x could write but not read again', () => {
  const text = 'message Tree { required int32 id = 1; message Kid { optional Tree tree = 1; } repeated Kid kids = 2; required int32 z = 3; }'
  const value = { id: 1, kids: [{ tree: { id: 2, z: 2 } }, { tree: { id: 3, z: 3 } }], z: 1 }
  const { Tree } = compile(text)
  assert.throws(() => original(text).Tree.decode(original(text).Tree.encode(value)), /not valid/)
  assert.equal(hex(Tree.encode(value)), hex(original(text).Tree.encode(value)))
  assert.throws(() => fast(Tree).write(value, Buffer.alloc(100), 0), { code: 'ERR_HYPER_VALUE', message: /^Tree: .*1\.x/ })
  assert.throws(() => fast(Tree).encoded(value), { code: 'ERR_HYPER_VALUE' })
})
