'use strict'

/** Subscriptions without a handler, whose entries a loop takes. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { once } = require('node:events')
const { test } = require('node:test')

const { folder, until } = require('../emitter/helpers')
const { all, make } = require('../emitter/stores')
const { emitAll, numbers, warnings } = require('./helpers')

/** Each entry has a key of its own, so many could be handled at once. */
const KEYS = { key: ({ change }) => change, timeout: Infinity }

test('without a handler, a loop takes the entries and answers each', async (t) => {
  const db = path.join(folder(), 'store')
  let emitter = make(t, db)
  await emitAll(emitter, 1, 5)
  const taken = []
  const how = { backoff: 0, attempts: 3 }
  const loop = async (last) => {
    const subscription = emitter.subscribe('mails', { names: 'T' }, how)
    for await (const { entry: { payload: { num } }, attempt, signal, append, ack, fail } of subscription) {
      taken.push([num, attempt])
      assert.equal(signal.aborted, false)
      if (num === last) break
      if (num === 2 && attempt < 3) {
        fail(new Error('not yet'))
        continue
      }
      append('U', { id: num })
      ack()
    }
    await assert.rejects(subscription.caughtUp(), { code: 'ERR_HYPER_CLOSED' }, 'leaving the loop stops it')
  }
  await loop(4)
  assert.deepEqual(taken, [[1, 1], [2, 1], [2, 2], [2, 3], [3, 1], [4, 1]])
  await emitter.close()
  emitter = make(t, db)
  taken.length = 0
  await loop(5)
  assert.deepEqual(taken.map(([num]) => num), [4, 5], 'what was not answered comes again')
  assert.deepEqual((await all(emitter.read({ names: 'U' }))).map(({ payload }) => payload.id), [1, 2, 3, 4])
  const other = emitter.subscribe('other', {}, () => {})
  await assert.rejects(other[Symbol.asyncIterator]().next(), { code: 'ERR_HYPER_INVALID_ARG', message: /'other' has a handler/ })
  const closing = emitter.subscribe('closing', { names: 'U' }, { from: 'now' })[Symbol.asyncIterator]().next()
  await emitter.close()
  assert.deepEqual(await closing, { value: undefined, done: true })
})

for (const how of ['stop', 'signal', 'close']) {
  test(`a loop that has answered everything ends at once by ${how}, and the remaining entries have had no attempt`, async (t) => {
    const emitter = make(t, path.join(folder(), 'store'))
    await emitAll(emitter, 1, 40)
    const controller = new AbortController()
    const subscription = emitter.subscribe('mails', {}, { ...KEYS, signal: controller.signal })
    const taken = []
    let ended
    for await (const { entry: { change }, ack } of subscription) {
      taken.push(change)
      ack()
      if (change !== 3) continue
      if (how === 'stop') ended = subscription.stop()
      else if (how === 'signal') controller.abort()
      else ended = emitter.close()
    }
    await ended
    assert.deepEqual(taken, [1, 2, 3])
    if (how === 'close') return
    await subscription.stop()
    const calls = []
    await emitter.subscribe('mails', {}, ({ change }, { attempt }) => { calls.push([change, attempt]) }, KEYS).caughtUp()
    assert.deepEqual(calls, numbers(4, 40).map((num) => [num, 1]))
  })
}

test('leaving a loop gives up unanswered entries, which counts as an attempt but does not park them', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 20)
  for (const [attempts, expected] of [[2, 2], [1, 1]]) {
    const name = `attempts ${attempts}`
    const kept = []
    for await (const delivery of emitter.subscribe(name, {}, { ...KEYS, attempts })) {
      kept.push(delivery)
      if (kept.length === 2) break
      delivery.ack()
    }
    assert.equal(kept[1].signal.aborted, true)
    assert.throws(() => kept[1].append('U', { id: 1 }), { code: 'ERR_HYPER_CLOSED' })
    kept[1].ack()
    const calls = []
    const subscription = emitter.subscribe(name, {}, ({ change }, { attempt }) => {
      calls.push([change, attempt])
    }, { ...KEYS, attempts })
    await subscription.caughtUp()
    calls.sort(([a], [b]) => a - b)
    assert.deepEqual(calls, [[2, expected], ...numbers(3, 20).map((num) => [num, 1])])
    assert.deepEqual(await subscription.parked(), [])
  }
})

test('a loop throws the error of its subscription', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 300)
  warnings(emitter)
  const take = async (subscription, answer) => {
    for await (const delivery of subscription) answer(delivery)
  }
  const beyond = emitter.subscribe('beyond', {}, { from: 1000 })
  await assert.rejects(take(beyond), { code: 'ERR_HYPER_INVALID_ARG', message: /from is 1000, but the log ends with change 300/ })
  const all = emitter.subscribe('all', {}, { ...KEYS, attempts: 1 })
  await assert.rejects(take(all, ({ fail }) => fail(new Error('no'))), { code: 'ERR_HYPER_PARKED', message: /'all' has stopped, because 256/ })
  const late = emitter.subscribe('late', {}, { from: 1000 })
  await once(late, 'error')
  await assert.rejects(take(late), { code: 'ERR_HYPER_INVALID_ARG' }, 'also one that begins later')
})

test('the time limit counts from when the loop takes an entry', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 3)
  const subscription = emitter.subscribe('mails', {}, { key: ({ change }) => change, timeout: 1, backoff: 0 })
  const failures = []
  subscription.on('failed', (error, { change }) => failures.push([change, error.code]))
  const deliveries = subscription[Symbol.asyncIterator]()
  const { value: first } = await deliveries.next()
  const { signal } = first
  await until(() => signal.aborted)
  assert.deepEqual(failures, [[1, 'ERR_HYPER_TIMEOUT']], 'those that were not taken have not failed')
  first.ack()
  const taken = []
  while (!taken.some(([change, attempt]) => change === 1 && attempt > 1)) {
    const { value: { entry, attempt, ack } } = await deliveries.next()
    taken.push([entry.change, attempt])
    ack()
  }
  await deliveries.return()
})

test('a subscription can have only one loop', async (t) => {
  const emitter = make(t)
  const subscription = emitter.subscribe('mails', {})
  const first = subscription[Symbol.asyncIterator]().next()
  await assert.rejects(subscription[Symbol.asyncIterator]().next(), { code: 'ERR_HYPER_INVALID_ARG', message: /'mails' already has a loop/ })
  await emitAll(emitter, 1, 1)
  assert.equal((await first).value.entry.change, 1, 'the first goes on')
})

test('a subscription makes progress past other events while no loop asks for entries', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 5)
  const subscription = emitter.subscribe('mails', { names: 'U' })
  await once(subscription, 'caughtUp')
  await subscription.caughtUp()
})
