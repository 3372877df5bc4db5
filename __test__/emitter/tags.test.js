'use strict'

/** Tags, and what is found by them: in memory, in a folder, and in a Level database. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { describe, test } = require('node:test')

const { folder, turns } = require('./helpers')
const { STORES, make } = require('./stores')

/** The latest entry. */
async function last (emitter) {
  const { value } = await emitter.read({ reverse: true, limit: 1 }).next()
  return value
}

/** Numbers of the events found. */
async function found (emitter, query) {
  const numbers = []
  for await (const { payload: { num, id } } of emitter.read(query)) numbers.push(num ?? id)
  return numbers
}

async function fill (emitter) {
  await emitter.append('T', { num: 1 }, { tags: ['order:7'] })
  await emitter.append('U', { id: 2 }, { tags: ['order:7', 'user:3'] })
  await emitter.append('T', { num: 3 })
  await emitter.append('T', { num: 4 }, { tags: new Set(['user:3']) })
}

for (const [what, store] of STORES) {
  describe(`tags in ${what}`, () => {
    test('find events by one tag, several tags, tags with names, and alternatives, in both directions', async (t) => {
      const emitter = make(t, store())
      await fill(emitter)
      assert.deepEqual(await found(emitter, { tags: 'order:7' }), [1, 2])
      assert.deepEqual(await found(emitter, { tags: ['order:7', 'user:3'] }), [2])
      assert.deepEqual(await found(emitter, { names: 'T', tags: ['user:3'] }), [4])
      assert.deepEqual(await found(emitter, { names: ['T', 'U'], reverse: true, limit: 2 }), [4, 3])
      assert.deepEqual(await found(emitter, { query: [{ names: 'U' }, { tags: 'user:3' }] }), [2, 4])
      assert.deepEqual(await found(emitter, { tags: 'user:3', reverse: true }), [4, 2])
      assert.deepEqual(await found(emitter, { tags: 'order:7', since: 1 }), [2])
      assert.deepEqual(await found(emitter, { tags: 'order:7', until: 1 }), [1])
      assert.deepEqual(await found(emitter, { tags: 'nobody' }), [])
      assert.deepEqual(await found(emitter, { names: [] }), [])
      assert.deepEqual(await found(emitter, { from: Date.now() + 60_000 }), [])
      assert.deepEqual(await found(emitter, { from: 0, to: new Date(), tags: 'order:7' }), [1, 2])
    })

    test('a live search returns matching events that are stored later', async (t) => {
      const emitter = make(t, store())
      await fill(emitter)
      const heard = []
      for await (const { payload: { num, id } } of emitter.read({ tags: 'order:7', live: true })) {
        heard.push(num ?? id)
        if (heard.length === 2) {
          await emitter.append('T', { num: 5 })
          await emitter.append('T', { num: 6 }, { tags: ['order:7'] })
        }
        if (heard.length === 3) break
      }
      assert.deepEqual(heard, [1, 2, 6])
    })
  })
}

test('entries, streams and peers get the tags of events', async (t) => {
  const a = make(t, undefined, { tags: { T: ({ num }) => [`num:${num}`] } })
  const b = make(t)
  await b.connect((await a.listen(0, '127.0.0.1')).port, '127.0.0.1')
  const heard = new Promise((resolve) => b.once('U', resolve))
  a.emit('T', { num: 1 })
  a.emit('T', { num: 2 }, { tags: ['own'] })
  const stream = a.stream()
  stream.write({ name: 'T', payload: { num: 3 }, tags: ['written'] })
  const read = new Promise((resolve) => stream.once('data', resolve))
  await new Promise((resolve) => a.emit('U', { id: 4 }, { tags: ['last'] }, resolve))
  await heard
  assert.deepEqual((await read).tags, ['num:1'])
  for (const emitter of [a, b]) {
    const tags = {}
    for await (const entry of emitter.read({ names: ['T', 'U'] })) tags[entry.payload.num ?? entry.payload.id] = entry.tags
    assert.deepEqual(tags, { 1: ['num:1'], 2: ['own'], 3: ['written'], 4: ['last'] })
  }
  assert.deepEqual(await found(b, { tags: 'num:1' }), [1])
})

test('tags are stored with many events in flight and with payloads as large as the buffer, and are found after reopening', async (t) => {
  const store = path.join(folder(), 'store')
  const emitter = make(t, store)
  const big = 'x'.repeat(300_000)
  await Promise.all(Array.from({ length: 3000 }, (_, num) => emitter.append('T', { num, foo: num % 1000 === 7 ? big : 'ü' }, { tags: [`n:${num % 100}`, 'ü'.repeat(num % 7 + 1)] })))
  await emitter.close()
  const again = make(t, store)
  assert.deepEqual(await found(again, { tags: 'n:7' }), Array.from({ length: 30 }, (_, i) => i * 100 + 7))
  assert.equal((await found(again, { tags: 'üüü' })).length, Math.ceil((3000 - 2) / 7))
})

test('a search continues past many events that do not match', async (t) => {
  const emitter = make(t)
  // More than are looked at for one answer.
  await Promise.all(Array.from({ length: 10_000 }, (_, num) => emitter.append('T', { num })))
  const { time } = await last(emitter)
  while (Date.now() <= time) await turns(1)
  await emitter.append('T', { num: -1 })
  assert.deepEqual(await found(emitter, { from: time + 1 }), [-1])
  assert.equal((await found(emitter, { to: new Date(time), reverse: true })).length, 10_000)
})

test('invalid tags and searches are refused with a reason, and nothing is stored', async (t) => {
  const emitter = make(t)
  const wrong = ['text', [5], [''], ['x'.repeat(257)], ['a', 'a'], Array.from({ length: 17 }, (_, i) => `${i}`), ['\ud800']]
  for (const tags of wrong) {
    assert.throws(() => emitter.emit('T', { num: 1 }, { tags }), (error) => error.code === 'ERR_HYPER_VALUE' && /tag/.test(error.message), JSON.stringify(tags))
    await assert.rejects(emitter.append('T', { num: 1 }, { tags }), { code: 'ERR_HYPER_VALUE' })
  }
  for (const query of [{ tags: [5] }, { query: 5 }, { query: [{}] }, { query: [], names: 'T' }, { from: 'yesterday' }, { tags: Array(65).fill('x') }]) {
    await assert.rejects(async () => { for await (const entry of emitter.read(query)) assert.fail(entry) }, { code: 'ERR_HYPER_INVALID_ARG' }, JSON.stringify(query))
  }
  assert.throws(() => make(t, undefined, { tags: { T: 'order' } }), { code: 'ERR_HYPER_INVALID_ARG' })
  assert.equal((await emitter.stats()).change, 0)
})
