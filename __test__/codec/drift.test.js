'use strict'

/** Events of a sender with another schema: a field with another wire type is an error, never a wrong value. */

const assert = require('node:assert/strict')
const { createRequire } = require('node:module')
const path = require('node:path')
const { test } = require('node:test')

const { beginBatch, compile, fast } = require('../../lib/codec')
const vectors = require('../data/codec.json')

/** What the sender has, what we have, the sender's payload. */
const DRIFTS = [
  ['optional string note = 2;', 'optional uint32 note = 2;', { note: 'abc' }, 'note is uint32 in this schema, but was written as text, bytes, a message or a packed list'],
  ['optional string note = 2;', 'optional uint32 note = 2;', { note: '' }, 'note is uint32 in this schema'],
  ['optional uint32 note = 2;', 'optional string note = 2;', { note: 0 }, 'note is string in this schema, but was written as a varint'],
  ['optional double note = 2;', 'optional float note = 2;', { note: 1 }, 'note is float in this schema, but was written as eight bytes'],
  ['optional float note = 2;', 'optional int32 note = 2;', { note: 1 }, 'note is int32 in this schema, but was written as four bytes'],
  ['repeated int32 note = 2;', 'repeated int32 note = 2 [packed=true];', { note: [1] }, 'note is packed int32 in this schema, but was written as a varint'],
  ['repeated int32 note = 2 [packed=true];', 'repeated int32 note = 2;', { note: [1, 2] }, 'note is int32 in this schema'],
  ['optional E note = 2;', 'optional bytes note = 2;', { note: 1 }, 'note is bytes in this schema'],
  ['map<string, int32> note = 2;', 'optional bool note = 2;', { note: { a: 1 } }, 'note is bool in this schema'],
  ['map<string, int32> note = 2;', 'map<string, string> note = 2;', { note: { a: 1 } }, 'value is string in this schema'],
  ['optional N note = 2; message N { optional string a = 1; }', 'optional N note = 2; message N { optional int32 a = 1; }', { note: { a: 'x' } }, 'N.a is int32 in this schema'],
  ['oneof o { string a = 2; int32 b = 3; }', 'oneof o { int32 a = 2; int32 b = 3; }', { a: 'x' }, 'M.a is int32 in this schema']
]

const schema = (fields) => `enum E { ONE = 1; } message M { required uint32 id = 1; ${fields} }`

function outcome (work) {
  try {
    return work()
  } catch (error) {
    return error.message
  }
}

for (const interpret of [false, true]) {
  test(`an event of another schema is refused, with the field${interpret ? ' (interpreted)' : ''}`, () => {
    for (const [theirs, ours, payload, text] of DRIFTS) {
      const bytes = compile(schema(theirs)).M.encode({ id: 7, ...payload })
      const shared = Buffer.concat([Buffer.from([1, 2, 3]), bytes, Buffer.alloc(20, 0x61)])
      const { M } = compile(schema(ours), { interpret })
      beginBatch(shared, shared.length)
      assert.throws(() => fast(M).read(shared, 3, 3 + bytes.length), (error) => {
        assert.equal(error.code, 'ERR_HYPER_DECODE', error.message)
        assert.ok(error.message.includes(text) && error.message.endsWith('the sender uses another schema'), error.message)
        return true
      })
      // Events of the same schema can still be read afterwards.
      const own = M.encode({ id: 9 })
      assert.equal(fast(M).read(own, 0, own.length).id, 9)
    }
  })

  test(`differences that wire types do not show are read as in 1.x, and codecs read every difference as in 1.x${interpret ? ' (interpreted)' : ''}`, () => {
    const { M } = compile('message M { optional uint32 a = 1; optional bytes b = 2; }', { interpret })
    const unknown = Buffer.from('1a0178' + '0805' + '12026162', 'hex')
    assert.deepEqual(fast(M).read(unknown, 0, unknown.length), { a: 5, b: Buffer.from('ab') })
    process.noDeprecation = true
    const original = createRequire(path.join(__dirname, '../oracle/package.json'))('protocol-buffers')
    const bytes = Buffer.from('0a00', 'hex')
    assert.deepEqual(M.decode(bytes), original('message M { optional uint32 a = 1; optional bytes b = 2; }').M.decode(bytes))
  })

  test(`all recorded bytes of 1.3.0 are accepted as events of their schema${interpret ? ' (interpreted)' : ''}`, () => {
    const compiled = new Map(vectors.schemas.filter(({ id }) => id !== 'dup').map(({ id, proto }) => [id, compile(proto, { interpret })]))
    let count = 0
    for (const { schema, message, expect: { hex } } of vectors.encode) {
      if (hex === undefined || !compiled.has(schema)) continue
      const codec = message.split('.').reduce((object, key) => object[key], compiled.get(schema))
      const bytes = Buffer.from(hex, 'hex')
      assert.deepEqual(outcome(() => fast(codec).read(bytes, 0, bytes.length)), outcome(() => codec.decode(bytes)), hex)
      count++
    }
    assert.ok(count > 500)
  })
}
