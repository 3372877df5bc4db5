'use strict'

/** Subscriptions while their store cannot be written, or cannot be read. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { test } = require('node:test')

const { until } = require('../emitter/helpers')
const { STORES, all, make } = require('../emitter/stores')
const { derivedAnswered, emitAll, numbers, partsOf, warnings } = require('./helpers')

test('while the store cannot be written, no entry is lost or handled twice', async (t) => {
  const db = STORES[2][1]()
  const batch = db.batch
  let failing = 0
  db.batch = function (...args) {
    if (failing === 0) return batch.apply(db, args)
    failing--
    process.nextTick(args.at(-1), new Error('no room'))
  }
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const emitter = make(t, db)
  const heard = warnings(emitter)
  await emitAll(emitter, 1, 3)
  const calls = []
  const subscription = emitter.subscribe('orders', { names: 'T' }, ({ payload: { num } }, context) => {
    calls.push(num)
    if (num > 1) failing = 1
    if (num === 3) throw new Error('to be parked')
    context.append('U', { id: num })
  }, { attempts: 1 })
  // Mock time advances only while something waits for it.
  const caughtUp = subscription.caughtUp()
  await until(() => calls.length === 2 && failing === 0)
  const waiting = new Set([caughtUp.then(() => waiting.clear())])
  while (waiting.size > 0) {
    t.mock.timers.tick(1000)
    await emitter.stats()
  }
  assert.deepEqual(calls, [1, 2, 3], 'a full disk is not the fault of the handler')
  assert.ok(heard.length > 0 && heard.every(({ message }) => /no room/.test(message)))
  await subscription.stop()
  assert.deepEqual((await emitter.consumer('orders').parked()).map(({ reason }) => reason), ['to be parked'])
  assert.deepEqual((await all(emitter.read({ names: 'U' }))).map(({ payload }) => payload.id), [1, 2])
})

for (const when of ['while they are being stored', 'while storing them waits to be tried again']) {
  test(`stop does not wait for disk space that derived events need, ${when}`, async (t) => {
    const db = STORES[2][1]()
    const batch = db.batch
    let isFull = false
    db.batch = (...args) => isFull ? process.nextTick(args.at(-1), new Error('no room')) : batch.apply(db, args)
    const emitter = make(t, db)
    warnings(emitter)
    const answered = derivedAnswered(t, emitter)
    await emitAll(emitter, 1, 1)
    const attempts = []
    const subscribe = (end) => emitter.subscribe('orders', { names: 'T' }, (entry, { attempt, append }) => {
      attempts.push(attempt)
      append('U', { id: attempt })
      end()
    })
    let stopped
    const first = subscribe(() => {
      isFull = true
      if (when === 'while they are being stored') stopped = first.stop()
    })
    await answered
    await (stopped ?? first.stop())
    isFull = false
    await subscribe(() => {}).caughtUp()
    assert.deepEqual((await all(emitter.read({ names: 'U' }))).map(({ payload }) => payload.id), attempts.slice(-1))
  })
}

/** Holds back the answers to records that `emitter` stores, until the returned function is called. */
function holdRecords (t, emitter) {
  const { records } = partsOf(emitter).consumers
  const write = records.write.bind(records)
  let held = []
  t.mock.method(records, 'write', (...args) => held === undefined ? write(...args) : held.push(args))
  return () => {
    const all = held
    held = undefined
    for (const args of all) write(...args)
  }
}

test('every attempt after the first begins only once its number is stored', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 1)
  const attempts = []
  let release
  const subscription = emitter.subscribe('mails', {}, (entry, { attempt }) => {
    attempts.push(attempt)
    release ??= holdRecords(t, emitter)
    if (attempt === 1) throw new Error('no')
  }, { backoff: 0 })
  await once(subscription, 'failed')
  for (let i = 0; i < 10; i++) await emitter.stats()
  assert.deepEqual(attempts, [1])
  release()
  await subscription.caughtUp()
  assert.deepEqual(attempts, [1, 2])
})

test('while no checkpoint can be stored, the number of entries that are taken is bounded', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 50)
  const calls = []
  let release
  const subscription = emitter.subscribe('mails', {}, ({ change }) => {
    release ??= holdRecords(t, emitter)
    calls.push(change)
  }, { checkpoint: { every: 2 } })
  await until(() => calls.length === 4)
  for (let i = 0; i < 10; i++) await emitter.stats()
  assert.deepEqual(calls, numbers(1, 4), 'twice `every`')
  release()
  await subscription.caughtUp()
  assert.deepEqual(calls, numbers(1, 50))
})

test('while no checkpoint can be stored, the numbers of entries that wait for their key and that begin are bounded', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 50)
  const calls = []
  let finish
  let release
  const subscription = emitter.subscribe('mails', {}, ({ change }) => {
    calls.push(change)
    release ??= holdRecords(t, emitter)
    return change === 1 ? new Promise((resolve) => { finish = resolve }) : undefined
  }, { key: () => 'one', checkpoint: { every: 2 } })
  const taken = async () => (await emitter.stats()).consumers[0]?.undone
  while (await taken() !== 4);
  for (let i = 0; i < 10; i++) assert.equal(await taken(), 4)
  release()
  while (await taken() !== 50);
  release = holdRecords(t, emitter)
  finish()
  await until(() => calls.length >= 4)
  for (let i = 0; i < 10; i++) await emitter.stats()
  assert.ok(calls.length <= 6, `${calls}`)
  release()
  await subscription.caughtUp()
  assert.deepEqual(calls, numbers(1, 50))
})

test('reading is retried after a second if it fails, and damage stops the subscription', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const emitter = make(t)
  await emitAll(emitter, 1, 3)
  const heard = warnings(emitter)
  const fetch = t.mock.method(partsOf(emitter).rows, 'fetch')
  const failure = new Error('no descriptors')
  fetch.mock.mockImplementationOnce((where, callback) => process.nextTick(callback, failure))
  const calls = []
  const subscription = emitter.subscribe('mails', {}, ({ change }) => { calls.push(change) })
  await until(() => heard.length > 0)
  assert.deepEqual([heard, calls, fetch.mock.callCount()], [[failure], [], 1])
  t.mock.timers.tick(1000)
  await subscription.caughtUp()
  assert.deepEqual(calls, [1, 2, 3])
  await subscription.stop()
  const damage = Object.assign(new Error('damaged'), { code: 'ERR_HYPER_DAMAGED' })
  fetch.mock.mockImplementationOnce((where, callback) => process.nextTick(callback, damage), fetch.mock.callCount())
  const damaged = emitter.subscribe('damaged', {}, () => assert.fail('nothing is read'))
  assert.deepEqual(await once(damaged, 'error'), [damage])
  await assert.rejects(damaged.caughtUp(), damage)
})

test('a parked entry that cannot be read at the start stops the subscription, and is tried again at the next start', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 1)
  const first = emitter.subscribe('mails', {}, () => { throw new Error('no') }, { attempts: 1 })
  await first.caughtUp()
  await first.stop()
  const consumer = emitter.consumer('mails')
  await consumer.retry((await consumer.parked())[0])
  t.mock.method(partsOf(emitter).reader, 'read', () => { throw new Error('no descriptors') }, { times: 1 })
  const [error] = await once(emitter.subscribe('mails', {}, () => assert.fail('it is not read')), 'error')
  assert.match(error.message, /no descriptors/)
  await until(() => !partsOf(emitter).consumers.isBusy)
  const calls = []
  await emitter.subscribe('mails', {}, ({ change }) => { calls.push(change) }).caughtUp()
  assert.deepEqual([calls, await consumer.parked().catch(({ code }) => code)], [[1], 'ERR_HYPER_INVALID_ARG'])
})
