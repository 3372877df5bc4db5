'use strict'

/** What subscriptions take of the process: its time, its memory, and how long it lives. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { once } = require('node:events')
const { test } = require('node:test')

const Deadlines = require('../../lib/consumers/deadlines')
const { child, folder, until } = require('../emitter/helpers')
const { make } = require('../emitter/stores')
const { emitAll, numbers, partsOf } = require('./helpers')

/**
 * Deadlines in an event loop of their own: `turn(ms)` is one turn of it that takes so long, `begin(name)` begins an item, and
 * `expired` are the names of those that took too long.
 */
function deadlinesIn (t, timeout, whenExpired = () => {}) {
  let now = 0
  let timers = []
  const immediates = []
  const setTimeout = t.mock.method(globalThis, 'setTimeout', (action, ms) => {
    timers.push({ at: now + ms, action })
    return { ref () {}, unref () {} }
  })
  t.mock.method(globalThis, 'setImmediate', (action) => immediates.push(action))
  const turn = (ms) => {
    now += ms
    const due = timers.filter(({ at }) => at <= now)
    timers = timers.filter(({ at }) => at > now)
    for (const { action } of due) action()
    for (const action of immediates.splice(0)) action()
  }
  const turns = (count) => numbers(1, count).forEach(() => turn(1))

  const items = new Set()
  const expired = []
  const deadlines = new Deadlines({
    timeout,
    items: () => items,
    expire (item) {
      deadlines.delete(item)
      items.delete(item)
      expired.push(item.name)
      whenExpired(item.name)
    }
  })
  const begin = (name) => {
    const item = { name, due: 0 }
    items.add(item)
    deadlines.add(item)
    return item
  }
  t.after(() => deadlines.end())
  return { deadlines, begin, expired, turn, turns, setTimeout }
}

test('a deadline that is added while others expire gets no timer of its own', (t) => {
  const { begin, expired, turns, setTimeout } = deadlinesIn(t, 10, (name) => {
    if (expired.length <= 100) begin(`again ${name}`)
  })
  for (let name = 1; name <= 100; name++) begin(name)
  turns(11)
  assert.deepEqual(expired, numbers(1, 100))
  turns(11)
  assert.deepEqual(expired.slice(100), numbers(1, 100).map((name) => `again ${name}`))
  assert.ok(setTimeout.mock.callCount() <= 22, `${setTimeout.mock.callCount()} timers`)
})

test('time during which the event loop is blocked does not count for a deadline', (t) => {
  const { begin, expired, turn, turns } = deadlinesIn(t, 100)
  begin('a')
  turns(30)
  turn(1000)
  turns(50)
  begin('b')
  assert.deepEqual(expired, [], 'the long turn counts as a tenth of the timeout')
  turns(20)
  assert.deepEqual(expired, ['a'])
  turn(500)
  turns(79)
  assert.deepEqual(expired, ['a'])
  turns(10)
  assert.deepEqual(expired, ['a', 'b'], 'what is not answered does expire')
})

test('a deadline that is met costs no timer, and its item never expires', (t) => {
  const { deadlines, begin, expired, turns, setTimeout } = deadlinesIn(t, 10)
  const slow = begin('slow')
  for (let name = 1; name <= 1000; name++) deadlines.delete(begin(name))
  turns(10)
  deadlines.delete(slow)
  deadlines.delete(slow)
  turns(20)
  assert.deepEqual([expired, setTimeout.mock.callCount()], [[], 11])
  begin('next')
  turns(11)
  assert.deepEqual(expired, ['next'])
})

test('an attempt under way keeps the process alive, and its timer does not do so after it', async () => {
  const script = `
    const emitter = new HyperEmitter(undefined, SCHEMA)
    const subscription = emitter.subscribe('mails', {}, ({ payload: { num } }) => num === 1 ? new Promise(() => {}) : Promise.resolve(), { timeout: 50, attempts: 1 })
    subscription.on('parked', ({ change, reason }) => console.log(change, /within 50 ms/.test(reason)))
    emitter.emit('T', { num: 1 })
    emitter.emit('T', { num: 2 })
  `
  const { code, stdout, stderr } = await child(script)
  assert.deepEqual([code, stdout, stderr], [0, '1 true\n', ''])
})

test('an answer that arrived while the event loop was blocked is in time', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 1)
  const failures = []
  const subscription = emitter.subscribe('mails', {}, () => {
    const answered = fs.promises.stat(__filename)
    // A part of the program that has nothing to do with it keeps the loop busy for longer than the timeout.
    process.nextTick(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300))
    return answered
  }, { timeout: 100 })
  subscription.on('failed', (error) => failures.push(error))
  await subscription.caughtUp()
  assert.deepEqual(failures, [])
})

test('a checkpoint that is due later does not keep the process alive, and is stored before the process ends', async () => {
  const script = `
    const emitter = new HyperEmitter(process.argv.at(-1), SCHEMA)
    const subscription = emitter.subscribe('mails', {}, ({ payload: { num } }, { attempt }) => console.log(num, attempt), { checkpoint: { within: 3_600_000 } })
    emitter.ready().then(() => { if (process.argv.at(-2) === 'emit') for (const num of [1, 2]) emitter.emit('T', { num }) })
  `
  const db = path.join(folder(), 'store')
  const first = await child(script, { args: ['emit', db] })
  assert.deepEqual([first.code, first.stdout, first.stderr], [0, '1 1\n2 1\n', ''])
  const second = await child(script, { args: ['listen', db] })
  assert.deepEqual([second.code, second.stdout, second.stderr], [0, '', ''], 'both are done')
})

test('subscriptions that start together share one read of the records', async (t) => {
  const db = path.join(folder(), 'store')
  const names = numbers(1, 20).map((number) => `mails ${number}`)
  for (const [run, first] of [[1, 1], [2, 4]]) {
    const emitter = make(t, db)
    const { records } = partsOf(emitter).consumers
    const reads = t.mock.method(records, 'all')
    const handled = []
    const subscriptions = names.map((name) => emitter.subscribe(name, {}, ({ payload: { num } }) => { handled.push(num) }))
    await emitAll(emitter, first, first + 2)
    for (const subscription of subscriptions) await subscription.caughtUp()
    assert.equal(handled.length, 20 * 3, `each goes on at its own place in run ${run}`)
    assert.equal(reads.mock.callCount(), 1)
    await emitter.close()
  }
})

test('a subscription that starts after another one of its name has stopped reads what that one stored', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 3)
  const handled = []
  const subscribe = (name) => emitter.subscribe(name, {}, ({ payload: { num } }) => { handled.push(num) })
  const first = subscribe('mails')
  await first.caughtUp()
  // A read for another subscription is under way.
  const other = subscribe('bills')
  await first.stop()
  await subscribe('mails').caughtUp()
  await other.caughtUp()
  assert.deepEqual(handled, [1, 2, 3, 1, 2, 3])
})

test('the bytes of entries that wait for a key are bounded, and the rest is handled once that key continues', async (t) => {
  const emitter = make(t)
  const bulk = 'x'.repeat(6 * 1024 * 1024)
  for (let num = 1; num <= 16; num++) await emitter.append('T', { num, foo: bulk })
  let stuck = true
  const taken = new Set()
  const calls = []
  const subscription = emitter.subscribe('mails', {}, ({ payload: { num } }) => {
    calls.push(num)
    if (stuck) throw new Error('not yet')
  }, { key: ({ payload }) => Boolean(taken.add(payload.num)), backoff: 3_600_000 })
  const [, entry] = await once(subscription, 'failed')
  await until(() => taken.size >= 11)
  for (let i = 0; i < 10; i++) await emitter.stats()
  assert.equal(taken.size, 11, '64 MiB and the entry that goes beyond')
  stuck = false
  await subscription.retry(entry)
  await subscription.caughtUp()
  assert.deepEqual(calls, [1, ...numbers(1, 16)])
})
