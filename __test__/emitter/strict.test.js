'use strict'

/** The option `strict` of emitters. What is refused and why is tested in __test__/codec/strict.test.js. */

const assert = require('node:assert/strict')
const { Readable } = require('node:stream')
const { describe, test } = require('node:test')

const { HyperEmitter, SCHEMA } = require('./helpers')

function make (t, schema, opts) {
  const emitter = new HyperEmitter(':memory:', schema, opts)
  t.after(() => emitter.close())
  return emitter
}

const refused = { code: 'ERR_HYPER_VALUE', event: 'T', field: 'num', message: 'T.num: 1.5 is out of range for int32, which takes whole numbers from -2147483648 to 2147483647' }

describe('strict', () => {
  for (const opts of [{ strict: true }, { protobuf: 'standard' }]) {
    test(`emit throws, append and streams are refused, and nothing of it is stored: ${JSON.stringify(opts)}`, async (t) => {
      const emitter = make(t, SCHEMA, opts)
      assert.throws(() => emitter.emit('T', { num: 1.5 }), refused)
      assert.throws(() => emitter.emit('T', { num: 1, fooo: 'x' }), { code: 'ERR_HYPER_VALUE', field: 'fooo', message: "T.fooo: T has no such field: did you mean 'foo'?" })
      for (const payload of [null, undefined]) assert.throws(() => emitter.emit('T', payload), { code: 'ERR_HYPER_VALUE', event: 'T', message: `T: a T is an object, not ${payload}` })
      await assert.rejects(emitter.append('T', { num: 1.5 }), refused)
      const stream = emitter.stream()
      assert.throws(() => stream.write({ name: 'T', payload: { num: 1.5 } }), refused)
      // Larger than the buffer that emits are written to.
      assert.throws(() => emitter.emit('T', { num: 1.5, foo: 'x'.repeat(300000) }), refused)
      await emitter.append('T', { num: 7 })
      assert.deepEqual((await emitter.read({ names: ['T'] }).next()).value.payload, { foo: '', num: 7 })
      assert.equal((await emitter.stats()).change, 1)
      await emitter.close()
      assert.throws(() => emitter.emit('T', { num: 1.5 }), refused)
    })
  }

  test('is off for 1.x\'s encoding, and can be turned off for standard protobuf', async (t) => {
    for (const opts of [undefined, { strict: false }, { protobuf: 'standard', strict: false }]) {
      const emitter = make(t, SCHEMA, opts)
      await emitter.append('T', { num: '7', misspelt: 1 })
      assert.equal((await emitter.read().next()).value.payload.num, 7)
    }
  })

  test('refuses text for a name that the schema does not have', async (t) => {
    const emitter = make(t, SCHEMA, { strict: true })
    assert.throws(() => emitter.emit('other', 'text'), { code: 'ERR_HYPER_VALUE', event: 'other', message: "payload is text. There is no message 'other' in the schema: it has 'T', 'U'" })
    await emitter.append('other', Buffer.from('text'))
    await make(t, null, { strict: true }).append('other', 'text')
  })

  test('applies to a schema that is read from a stream', async (t) => {
    const emitter = make(t, Readable.from([SCHEMA]), { strict: true })
    await assert.rejects(emitter.append('T', { num: 1.5 }), refused)
  })

  test('is an option of HyperEmitter.compile for compiled messages, and is refused where it would have no effect', async (t) => {
    assert.throws(() => make(t, HyperEmitter.compile(SCHEMA), { strict: true }),
      { name: 'TypeError', code: 'ERR_HYPER_INVALID_ARG', message: "strict is given, but message 'T' was compiled without it: pass strict to HyperEmitter.compile" })
    const emitter = make(t, HyperEmitter.compile(SCHEMA, { strict: true }))
    assert.throws(() => emitter.emit('T', { num: 1.5 }), refused)
    // What users' own codecs take is their affair.
    await make(t, { ...HyperEmitter.compile(SCHEMA, { strict: true }), own: { encode: String, decode: String } }, { strict: true }).append('own', 5)
    assert.throws(() => make(t, SCHEMA, { strict: 'yes' }), { code: 'ERR_HYPER_INVALID_ARG', message: 'strict must be true or false, not string' })
  })
})
