'use strict'

/** The option `upcast`: listeners and readers get events of an old form in the new form. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { once } = require('node:events')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, folder } = require('./helpers')

function make (t, upcast, db, schema = SCHEMA) {
  const emitter = new HyperEmitter(db, schema, { upcast })
  t.after(() => emitter.close())
  return emitter
}

async function all (reader) {
  const found = []
  for await (const entry of reader) found.push(entry)
  return found
}

test('listeners, readers and streams get the result of upcast, and the stored event does not change', async (t) => {
  const store = path.join(folder(), 'store')
  const asked = []
  const upcast = {
    T (payload, event) {
      asked.push(event)
      return { ...payload, foo: payload.foo || 'none' }
    }
  }
  const emitter = make(t, upcast, store)
  const heard = once(emitter, 'T')
  await emitter.append('T', { num: 1 })
  await emitter.append('U', { id: 2 })
  assert.deepEqual(await heard, [{ foo: 'none', num: 1 }])
  const [t1, u2] = await all(emitter.read())
  assert.deepEqual([t1.payload, u2.payload], [{ foo: 'none', num: 1 }, { bar: '', id: 2 }])
  const stream = emitter.stream({ from: 'beginning' })
  assert.deepEqual((await once(stream, 'data'))[0], { name: 'T', payload: { foo: 'none', num: 1 } })
  stream.destroy()
  for (const event of asked) assert.deepEqual(event, { name: 'T', change: 1 })
  assert.ok((await all(emitter.read({ raw: true }))).every(({ raw }) => Buffer.isBuffer(raw)))
  await emitter.close()
  const plain = new HyperEmitter(store, SCHEMA)
  t.after(() => plain.close())
  assert.deepEqual((await all(plain.read()))[0].payload, { foo: '', num: 1 })
})

test('a listener that has paused itself gets upcast payloads', async (t) => {
  const emitter = make(t, { T: ({ num }) => ({ num: num * 10 }) })
  const heard = []
  const done = new Promise((resolve) => emitter.on('T', ({ num }) => {
    if (heard.push(num) === 1) emitter.pause()
    if (heard.length === 3) resolve()
  }))
  for (let num = 1; num <= 3; num++) await emitter.append('T', { num })
  emitter.resume()
  await done
  assert.deepEqual(heard, [10, 20, 30])
})

test('if upcast throws or returns nothing, the event counts as undecodable', async (t) => {
  for (const [upcast, cause] of [[() => { throw new Error('too old') }, /^too old$/], [() => undefined, /^upcast of event 'T' returned nothing$/]]) {
    const emitter = make(t, { T: upcast })
    emitter.on('T', () => assert.fail('heard'))
    const warned = once(emitter.status, 'warning')
    await emitter.append('T', { num: 1 })
    const [entry] = await all(emitter.read())
    for (const error of [entry.error, (await warned)[0]]) {
      assert.equal(error.code, 'ERR_HYPER_DECODE')
      assert.match(error.cause.message, cause)
    }
    assert.ok(Buffer.isBuffer(entry.raw))
  }
})

test('upcast is not called for bytes without a codec, and must be an object of functions', async (t) => {
  const emitter = make(t, { other: () => assert.fail('asked') })
  await emitter.append('other', Buffer.from('x'))
  assert.deepEqual((await all(emitter.read()))[0].raw, Buffer.from('x'))
  for (const upcast of [null, 5, { T: 5 }]) {
    assert.throws(() => make(t, upcast), { name: 'TypeError', code: 'ERR_HYPER_INVALID_ARG', message: 'upcast must be an object from event name to a function of the payload' })
  }
})
