'use strict'

/** What handlers append: when it is encoded, how much it may be, and when it is forgotten. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { test } = require('node:test')

const { STORES, all, make } = require('../emitter/stores')
const { derivedAnswered, emitAll, warnings } = require('./helpers')

test('events are encoded when they are appended, so later changes to payload and tags have no effect', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 1)
  await emitter.subscribe('mails', { names: 'T' }, async (entry, { append }) => {
    const payload = { id: 1 }
    const tags = ['first']
    const bytes = Buffer.from('first')
    append('U', payload, { tags })
    append('unknown', bytes)
    await null
    payload.id = 2
    tags[0] = 'second'
    bytes.write('later')
  }).caughtUp()
  const [event, unknown] = await all(emitter.read({ since: 1 }))
  assert.deepEqual([event.payload.id, event.tags, unknown.raw.toString()], [1, ['first'], 'first'])
})

test('a call with an event that cannot be encoded throws, and appends nothing', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 1)
  const subscription = emitter.subscribe('mails', { names: 'T' }, (entry, { append }) => {
    append('U', { id: 1 })
    assert.throws(() => append([{ name: 'U', payload: { id: 2 } }, { name: 'U', payload: {} }]), /id is required/)
    assert.throws(() => append('U', { id: 3 }, { tags: [7] }), /tag 1 is not a string/)
  }, { attempts: 1 })
  await subscription.caughtUp()
  assert.deepEqual((await all(emitter.read({ names: 'U' }))).map(({ payload }) => payload.id), [1])
  assert.deepEqual(await subscription.parked(), [])
  const nothing = emitter.subscribe('nothing', { names: 'T' }, (entry, { append }) => {
    assert.throws(() => append('U', {}))
    append([])
  }, { attempts: 1 })
  await nothing.caughtUp()
  assert.deepEqual(await nothing.parked(), [], 'with nothing appended there is nothing to store')
})

test('an attempt appends at most 1,024 events, however many calls it makes', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 1)
  await emitter.subscribe('mails', { names: 'T' }, (entry, { append }) => {
    for (let id = 1; id <= 1024; id++) append('U', { id })
    assert.throws(() => append('U', { id: 1025 }), { code: 'ERR_HYPER_INVALID_ARG', message: /has 1025 events, the limit is 1024/ })
  }).caughtUp()
  assert.equal((await all(emitter.read({ names: 'U' }))).length, 1024)
})

test('a parked entry that is skipped while its events wait for room stores none', async (t) => {
  const db = STORES[2][1]()
  const batch = db.batch
  let isFull = false
  db.batch = (...args) => isFull ? process.nextTick(args.at(-1), new Error('no room')) : batch.apply(db, args)
  const emitter = make(t, db)
  warnings(emitter)
  const answered = derivedAnswered(t, emitter)
  await emitAll(emitter, 1, 1)
  let isBroken = true
  const subscription = emitter.subscribe('mails', { names: 'T' }, async (entry, { append }) => {
    if (isBroken) throw new Error('no')
    append('U', { id: 1 })
    await null
    isFull = true
  }, { attempts: 1 })
  const [parked] = await once(subscription, 'parked')
  isBroken = false
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await subscription.retry(parked)
  await answered
  isFull = false
  await subscription.skip(parked)
  t.mock.timers.tick(1000)
  await emitter.stats()
  await subscription.caughtUp()
  await subscription.stop()
  assert.deepEqual(await all(emitter.read({ names: 'U' })), [])
})
