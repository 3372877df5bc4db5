'use strict'

/** The options of subscriptions, and the context and form in which they deliver entries. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { AsyncLocalStorage } = require('node:async_hooks')
const { once } = require('node:events')
const { PassThrough } = require('node:stream')
const { test } = require('node:test')

const { backoffOf } = require('../../lib/consumers/backoff')
const { memberOf } = require('../../lib/consumers/group')
const { HyperEmitter, SCHEMA, folder } = require('../emitter/helpers')
const { make } = require('../emitter/stores')
const { emitAll, numbers } = require('./helpers')

test('a name has one subscription at a time, and invalid options are refused', async (t) => {
  const emitter = make(t)
  const subscription = emitter.subscribe('mails', {}, () => {})
  assert.throws(() => emitter.subscribe('mails', {}, () => {}), { code: 'ERR_HYPER_INVALID_ARG', message: /'mails' is already running/ })
  await subscription.stop()
  const wrong = (name, query, handler, options, message) => {
    assert.throws(() => emitter.subscribe(name, query, handler, options), { code: 'ERR_HYPER_INVALID_ARG', message })
  }
  const ok = () => {}
  wrong('', {}, ok, {}, /name must be a string/)
  wrong(7, {}, ok, {}, /name must be a string/)
  wrong('x'.repeat(257), {}, ok, {}, /more than 256 bytes/)
  wrong('a@b', {}, ok, {}, /must not contain @/)
  wrong('a', 'T', ok, {}, /query must be an object/)
  wrong('a', { names: 'T', query: [] }, ok, {}, /query/)
  wrong('a', {}, 7, {}, /handler must be a function/)
  wrong('a', {}, undefined, undefined, /handler must be a function; for a loop, leave it out/)
  wrong('a', {}, ok, null, /options must be an object/)
  wrong('a', {}, ok, { key: 7 }, /key must be a function/)
  wrong('a', {}, ok, { concurrency: 0, key: ok }, /concurrency must be a whole number from 1 to 1024, not 0/)
  wrong('a', {}, ok, { concurrency: 1025, key: ok }, /concurrency must be a whole number from 1 to 1024, not 1025/)
  wrong('a', {}, ok, { concurrency: Infinity, key: ok }, /concurrency must be a whole number from 1 to 1024, not Infinity/)
  wrong('a', {}, ok, { concurrency: 8 }, /concurrency needs the option key/)
  wrong('a', {}, ok, { attempts: 1.5 }, /attempts/)
  wrong('a', {}, ok, { timeout: 0 }, /timeout/)
  wrong('a', {}, ok, { timeout: 2 ** 31 }, /timeout must be a whole number from 1 to 2147483647/)
  wrong('a', {}, ok, { backoff: -1 }, /backoff must be milliseconds/)
  wrong('a', {}, ok, { backoff: [] }, /backoff must be milliseconds/)
  wrong('a', {}, ok, { checkpoint: 7 }, /checkpoint must be|checkpoint.every/)
  wrong('a', {}, ok, { checkpoint: { every: 65_537 } }, /checkpoint.every must be a whole number from 1 to 65536/)
  wrong('a', {}, ok, { checkpoint: { within: 0 } }, /checkpoint.within/)
  wrong('a', {}, ok, { from: -1 }, /from must be a whole number/)
  wrong('a', {}, ok, { from: 'end' }, /from/)
  wrong('a', {}, ok, { signal: {} }, /AbortSignal/)
  wrong('a', {}, ok, { raw: 1 }, /raw must be true or false/)
  wrong('a', {}, ok, { group: { member: 0, size: 2 } }, /needs the option key/)
  wrong('a', {}, ok, { group: { member: 2, size: 2 }, key: ok }, /group.member must be a whole number from 0 to 1/)
  await emitter.close()
  assert.throws(() => emitter.subscribe('a', {}, ok), { code: 'ERR_HYPER_CLOSED' })
})

test('handlers run in the async context of subscribe, whoever emits or retries', async (t) => {
  const emitter = make(t)
  const storage = new AsyncLocalStorage()
  const seen = []
  const subscription = storage.run('subscriber', () => emitter.subscribe('mails', { names: 'T' }, async (entry, context) => {
    seen.push(storage.getStore())
    if (context.attempt === 1) throw new Error('once')
    context.append('U', { id: 1 })
  }, { backoff: 0 }))
  await storage.run('emitter', () => emitAll(emitter, 1, 2))
  await storage.run('waiter', () => subscription.caughtUp())
  storage.run('pauser', () => subscription.pause().resume())
  await storage.run('emitter', () => emitAll(emitter, 3, 3))
  await subscription.caughtUp()
  assert.deepEqual(seen, Array(6).fill('subscriber'))
})

test('a subscription waits for a schema that is read from a stream', async (t) => {
  const db = path.join(folder(), 'store')
  const first = make(t, db)
  await emitAll(first, 1, 2)
  await first.close()
  const schema = new PassThrough()
  const emitter = new HyperEmitter(db, schema)
  t.after(() => emitter.close())
  const heard = []
  const subscription = emitter.subscribe('mails', {}, ({ payload }) => { heard.push(payload?.num) })
  await emitter.ready()
  await emitter.stats()
  schema.end(SCHEMA)
  await subscription.caughtUp()
  assert.deepEqual(heard, [1, 2])
})

test('a handler may return anything that has a then, also one that throws', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 3)
  const subscription = emitter.subscribe('mails', {}, ({ payload: { num } }) => {
    if (num === 1) return { then: (resolve) => resolve() }
    if (num === 2) return { then () { throw new Error('then has thrown') } }
    return Object.defineProperty({}, 'then', { get () { throw new Error('there is none') } })
  }, { attempts: 1 })
  await subscription.caughtUp()
  assert.deepEqual((await subscription.parked()).map(({ reason }) => reason), ['then has thrown', 'there is none'])
})

test('entries whose key cannot be computed are parked', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 3)
  const calls = []
  const key = ({ payload: { num } }) => {
    if (num === 2) throw new Error('no key')
    return num
  }
  const subscription = emitter.subscribe('mails', {}, ({ payload: { num } }) => { calls.push(num) }, { key })
  await subscription.caughtUp()
  assert.deepEqual(calls, [1, 3])
  assert.deepEqual((await subscription.parked()).map(({ change, reason }) => [change, reason]), [[2, 'no key']])
})

test('members of a group share the keys, and each key belongs to one member', async (t) => {
  const emitter = make(t)
  for (let num = 1; num <= 200; num++) emitter.emit('T', { num, foo: `customer ${num % 20}` })
  await emitter.append('U', { id: 1 })
  const byMember = [[], [], []]
  const members = byMember.map((handled, member) => emitter.subscribe('mails', { names: 'T' }, ({ payload }) => { handled.push(payload) },
    { key: ({ payload }) => payload.foo, group: { member, size: 3 } }))
  assert.deepEqual(members.map(({ name }) => name), ['mails@0/3', 'mails@1/3', 'mails@2/3'])
  for (const member of members) await member.caughtUp()
  assert.deepEqual(byMember.flat().map(({ num }) => num).sort((a, b) => a - b), numbers(1, 200))
  const keys = byMember.map((handled) => new Set(handled.map(({ foo }) => foo)))
  assert.equal(keys[0].size + keys[1].size + keys[2].size, 20, 'no key has two')
  assert.ok(keys.every((keys) => keys.size > 0))
})

test('the member of a key is computed as in all other versions', () => {
  const members = [['', 0x9dc5], ['a', 0x292c], ['foobar', 0xf968], ['Grüße', 0x6e38]]
  for (const [key, member] of members) assert.equal(memberOf(key, 65_536), member, key)
  assert.deepEqual(['a', 'foobar', 'Grüße', 'customer 7'].map((key) => memberOf(key, 3)), [1, 1, 0, 2])
})

test('default delays double up to 30 s and vary by up to a half, a list repeats its last delay, and a function gets the failure', (t) => {
  const delays = (backoff, ...attempts) => attempts.map((attempt) => backoff(attempt))
  const usual = backoffOf('mails', undefined, 60_000)
  let random = 0
  t.mock.method(Math, 'random', () => random)
  assert.deepEqual(delays(usual, 1, 2, 3, 9, 10, 2000), [50, 100, 200, 12_800, 15_000, 15_000])
  random = 0.5
  assert.deepEqual(delays(usual, 1, 2, 2000), [75, 150, 22_500])
  assert.deepEqual(delays(backoffOf('mails', 7, 60_000), 1, 2, 3), [7, 7, 7])
  assert.deepEqual(delays(backoffOf('mails', [1, 20], 60_000), 1, 2, 3, 4), [1, 20, 20, 20])
  const told = []
  const given = [5, -1, NaN, 'soon', Infinity]
  const own = backoffOf('mails', (...args) => {
    told.push(args)
    return given.shift()
  }, 60_000)
  const error = new Error('no')
  const entry = { change: 1 }
  assert.equal(own(3, error, entry), 5)
  assert.deepEqual(told, [[3, error, entry]])
  assert.deepEqual(delays(own, 1, 2, 3, 4), [0, 0, 0, 60_000])
})

test('raw entries are not decoded; listeners run in the context of subscribe; asyncDispose stops', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 1)
  const storage = new AsyncLocalStorage()
  const seen = []
  const subscription = storage.run('subscriber', () => emitter.subscribe('mails', {}, ({ raw, payload }) => {
    seen.push(raw instanceof Uint8Array, payload)
    throw new Error('no')
  }, { raw: true, attempts: 2, backoff: 0 }))
  for (const event of ['failed', 'parked', 'caughtUp']) subscription.on(event, () => seen.push([event, storage.getStore()]))
  const atEnd = once(subscription, 'caughtUp')
  await storage.run('waiter', () => subscription.caughtUp())
  await atEnd
  assert.deepEqual(seen, [
    true, undefined, ['failed', 'subscriber'], true, undefined, ['parked', 'subscriber'], ['caughtUp', 'subscriber']
  ])
  if (Symbol.asyncDispose === undefined) return
  await subscription[Symbol.asyncDispose]()
  await assert.rejects(subscription.caughtUp(), { code: 'ERR_HYPER_CLOSED' })
})

test('the number of entries that wait for a key is bounded, and the rest is handled once that key continues', async (t) => {
  const emitter = make(t)
  let stuck = true
  emitter.emit('T', { num: 0, foo: 'free' })
  for (let num = 1; num <= 1500; num++) emitter.emit('T', { num, foo: 'stuck' })
  await emitter.append('T', { num: 1501, foo: 'free' })
  const calls = []
  const subscription = emitter.subscribe('mails', {}, ({ payload: { num } }) => {
    calls.push(num)
    if (num === 1 && stuck) throw new Error('not yet')
  }, { key: ({ payload }) => payload.foo, backoff: 3_600_000 })
  const [, entry] = await once(subscription, 'failed')
  for (let i = 0; i < 10; i++) await emitter.stats()
  assert.deepEqual(calls, [0, 1])
  stuck = false
  await subscription.retry(entry)
  await subscription.caughtUp()
  assert.deepEqual(calls, [0, 1, ...numbers(1, 1501)])
})
