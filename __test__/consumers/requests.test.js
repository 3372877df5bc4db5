'use strict'

/** What users ask of a subscription: handling parked entries again, dropping them, waiting, and starting anew. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { test } = require('node:test')

const { until } = require('../emitter/helpers')
const { make } = require('../emitter/stores')
const Waiters = require('../../lib/consumers/waiters')
const { emitAll, numbers, partsOf, warnings } = require('./helpers')

/** An emitter with five entries, of which the second is parked by subscription `mails`, which has stopped. */
async function parkSecond (t) {
  const emitter = make(t)
  await emitAll(emitter, 1, 5)
  const subscription = emitter.subscribe('mails', {}, ({ change }) => {
    if (change === 2) throw new Error('no')
  }, { attempts: 1 })
  await subscription.caughtUp()
  const [parked] = await subscription.parked()
  await subscription.stop()
  return { emitter, parked }
}

test('a request to handle a parked entry again is kept until the attempt begins', async (t) => {
  const { emitter, parked } = await parkSecond(t)
  await emitter.consumer('mails').retry(parked)
  const fail = () => assert.fail('it is paused')
  for (const again of [false, true]) {
    const paused = emitter.subscribe('mails', {}, fail).pause()
    await paused.parked()
    if (again) await paused.retry(parked)
    await paused.stop()
  }
  const calls = []
  const subscription = emitter.subscribe('mails', {}, ({ change }) => { calls.push(change) })
  await subscription.caughtUp()
  assert.deepEqual([calls, await subscription.parked()], [[2], []])
})

test('caughtUp waits for entries that are handled again', async (t) => {
  const { emitter, parked } = await parkSecond(t)
  let finish
  const subscription = emitter.subscribe('mails', {}, () => new Promise((resolve) => { finish = resolve }))
  await subscription.retry(parked)
  let isDone = false
  const done = subscription.caughtUp().then(() => { isDone = true })
  await until(() => finish !== undefined)
  await emitter.stats()
  assert.equal(isDone, false)
  finish()
  await done
  assert.deepEqual(await subscription.parked(), [])
})

test('a parked entry that is skipped while it is handled again is given up', async (t) => {
  const { emitter, parked } = await parkSecond(t)
  const calls = []
  let given
  const subscription = emitter.subscribe('mails', {}, ({ change }, context) => {
    calls.push(change)
    given = context
    return change === 2 ? new Promise(() => {}) : undefined
  }, { timeout: Infinity })
  await subscription.retry(parked)
  await until(() => given !== undefined)
  assert.equal(given.signal.aborted, false)
  await subscription.skip(parked)
  assert.match(given.signal.reason.message, /the entry was skipped/)
  assert.throws(() => given.append('U', { id: 1 }), { code: 'ERR_HYPER_CLOSED' })
  await emitAll(emitter, 6, 6)
  await subscription.caughtUp()
  await subscription.stop()
  assert.deepEqual(calls, [2, 6])
  assert.deepEqual(await emitter.consumer('mails').parked(), [])
})

test('an attempt at a parked entry is given up when its loop is left, and when the emitter closes', async (t) => {
  const { emitter, parked } = await parkSecond(t)
  await emitter.consumer('mails').retry(parked)
  const deliveries = emitter.subscribe('mails', {}, { attempts: 1 })[Symbol.asyncIterator]()
  let { value: kept } = await deliveries.next()
  await deliveries.return()
  assert.equal(kept.signal.aborted, true)
  assert.throws(() => kept.append('U', { id: 1 }), { code: 'ERR_HYPER_CLOSED' })
  assert.equal((await emitter.consumer('mails').parked()).length, 1)
  const subscription = emitter.subscribe('mails', {}, (entry, context) => {
    kept = context
    return new Promise(() => {})
  }, { timeout: Infinity })
  kept = undefined
  await subscription.retry(parked)
  await until(() => kept !== undefined)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const closed = emitter.close()
  t.mock.timers.tick(5000)
  await closed
  assert.equal(kept.signal.aborted, true)
})

test('a parked entry that could not be read can be retried again', async (t) => {
  const { emitter, parked } = await parkSecond(t)
  const { reader } = partsOf(emitter).consumers
  const subscription = emitter.subscribe('mails', {}, () => {})
  await subscription.caughtUp()
  t.mock.method(reader, 'read', () => { throw new Error('no descriptors') }, { times: 1 })
  await assert.rejects(subscription.retry(parked), /no descriptors/)
  await subscription.retry(parked)
  await subscription.caughtUp()
  assert.deepEqual(await subscription.parked(), [])
})

test('a subscription starts after a reset that was requested before it', async (t) => {
  const { emitter } = await parkSecond(t)
  for (let turns = 0; turns < 12; turns++) {
    const reset = emitter.consumer('mails').reset()
    for (let i = 0; i < turns; i++) await null
    const calls = []
    const subscription = emitter.subscribe('mails', {}, ({ change }) => { calls.push(change) })
    await reset
    await subscription.caughtUp()
    await subscription.stop()
    assert.deepEqual(calls, numbers(1, 5))
    assert.deepEqual(await emitter.consumer('mails').parked(), [])
  }
  await assert.rejects(emitter.consumer('mial').reset(), { code: 'ERR_HYPER_NOT_FOUND', message: /no subscription 'mial'/ })
  for (const name of ['a@b', 'x'.repeat(257), '\ud800']) assert.throws(() => emitter.consumer(name), { code: 'ERR_HYPER_INVALID_ARG' })
  assert.equal(emitter.consumer('mails@0/2').name, 'mails@0/2')
})

test('caughtUp rejects with the cause when the subscription ends, even if its event is not stored', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 1)
  warnings(emitter)
  const subscription = emitter.subscribe('mails', {}, () => {})
  const waiting = assert.rejects(subscription.caughtUp(`${'0'.repeat(32)}:7:${'0'.repeat(64)}`), { code: 'ERR_HYPER_CLOSED' })
  await subscription.caughtUp()
  await subscription.stop()
  await waiting
  const failed = emitter.subscribe('other', {}, () => {}, { from: 1000 })
  failed.on('error', () => {})
  await once(failed, 'error')
  for (const asked of [failed.caughtUp(), failed.parked()]) await assert.rejects(asked, /the log ends with change 1/)
})

test('caughtUp of a paused subscription resolves if everything was done before', async (t) => {
  const { emitter } = await parkSecond(t)
  const subscription = emitter.subscribe('mails', {}, () => assert.fail('it is paused')).pause()
  await subscription.caughtUp()
})

test('the cost of an entry does not depend on the number of waiting caughtUp calls', async () => {
  const waiters = new Waiters()
  let looks = 0
  const changeOf = (number) => ({ valueOf () { looks++; return number } })
  const resolved = []
  const all = []
  for (const number of [3, 1, 2, ...numbers(4, 2000)]) {
    all.push(waiters.wait(Promise.resolve(changeOf(number)), () => {}).then(() => resolved.push(number)))
  }
  await Promise.resolve()
  for (let change = 0; change <= 2000; change++) waiters.reach(change)
  await Promise.all(all)
  assert.deepEqual(resolved, numbers(1, 2000))
  assert.ok(looks <= 5 * 2000, `${looks} looks`)
})
