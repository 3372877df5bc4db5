'use strict'

/**
 * Portable cursors: entries have them, readers accept them, and `caughtUp` waits for them, so that a service can read what
 * another one has written.
 */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { describe, test } = require('node:test')

const { HyperEmitter, SCHEMA, folder, turns } = require('./helpers')
const { STORES, all, make } = require('./stores')

const HOST = '127.0.0.1'
const KEY = '0'.repeat(64)

/** Two emitters; `connect` links them. */
function pair (t, db) {
  const [one, two] = [make(t), make(t, db)]
  return { one, two, connect: async () => two.connect((await one.listen(0, HOST)).port, HOST) }
}

const numbers = (entries) => entries.filter(({ name }) => name === 'T').map(({ payload }) => payload.num)

/** Whether a promise is still pending after everything that is under way has had its turns. */
async function isPending (promise, emitter) {
  let settled = false
  promise.then(() => { settled = true }, () => { settled = true })
  for (let i = 0; i < 10; i++) await emitter.stats()
  await turns(10)
  return !settled
}

for (const [what, store] of STORES) {
  describe(`in ${what}`, () => {
    test('an entry has a cursor, which names the same event at a peer that stores it under another change', async (t) => {
      const { one, two, connect } = pair(t, store())
      await two.append('T', { num: 100 })
      for (let num = 1; num <= 3; num++) await one.append('T', { num })
      await connect()
      const [, { cursor, log, seq, key }] = (await all(one.read({ names: 'T' }))).filter(({ payload }) => payload.num <= 3)
      assert.equal(cursor, `${log}:${seq}:${key}`)
      assert.equal(HyperEmitter.cursorOf(await one.get(key)), cursor)
      const change = await two.caughtUp(cursor)
      const there = (await all(two.read())).find((entry) => entry.change === change)
      assert.deepEqual([there.key, there.cursor, there.payload.num], [key, cursor, 2])
    })

    test('since and from take a cursor as text, as an object, as a node and as an entry', async (t) => {
      const emitter = make(t, store())
      const nodes = []
      for (let num = 1; num <= 4; num++) nodes.push(await emitter.append('T', { num }))
      const { log, seq, key } = nodes[1]
      const [, entry] = await all(emitter.read())
      for (const since of [HyperEmitter.cursorOf(nodes[1]), nodes[1], entry, { log, seq }, { log, seq, key }]) {
        assert.deepEqual(numbers(await all(emitter.read({ since }))), [3, 4])
        assert.deepEqual(numbers(await all(emitter.read({ since, reverse: true }))), [4, 3])
        assert.deepEqual(numbers(await all(emitter.read({ since, names: 'T', limit: 1 }))), [3])
        assert.deepEqual(numbers(await all(emitter.read({ since, until: 3 }))), [3])
        const stream = emitter.stream({ from: since })
        const heard = []
        for await (const { payload } of stream) if (heard.push(payload.num) === 2) break
        assert.deepEqual(heard, [3, 4])
      }
    })

    test('caughtUp waits for an event that arrives later, named by key or by log and seq', async (t) => {
      const { one, two, connect } = pair(t, store())
      await one.append('T', { num: 1 })
      const node = await one.append('T', { num: 2 })
      const waiting = [two.caughtUp(HyperEmitter.cursorOf(node)), two.caughtUp(node), two.caughtUp({ log: node.log, seq: node.seq }), two.caughtUp(node, { timeout: 60000 })]
      assert.ok(await isPending(Promise.race(waiting), two))
      await connect()
      const changes = await Promise.all(waiting)
      assert.deepEqual(new Set(changes).size, 1)
      const { value } = await two.read({ since: changes[0] - 1, limit: 1 }).next()
      assert.equal(value.payload.num, 2)
    })
  })
}

test('a service that is given the cursor of a write reads the result of that write', async (t) => {
  const { one, two, connect } = pair(t)
  await connect()
  const orders = new Map()
  two.on('T', ({ num, foo }) => orders.set(num, foo))
  for (let num = 1; num <= 20; num++) {
    const cursor = HyperEmitter.cursorOf(await one.append('T', { num, foo: `order ${num}` }))
    await two.caughtUp(cursor, { delivered: true, timeout: 60000 })
    assert.equal(orders.get(num), `order ${num}`)
  }
})

test('with delivered, caughtUp waits for done and for resume, but not if there are no listeners', async (t) => {
  const emitter = make(t)
  const answers = []
  emitter.on('T', (message, done) => answers.push(done))
  const first = await emitter.append('T', { num: 1 })
  const other = await emitter.append('U', { id: 1 })
  assert.equal(await emitter.caughtUp(other), 2)
  const [heard, passed] = [first, other].map((node) => emitter.caughtUp(node, { delivered: true }))
  assert.ok(await isPending(Promise.race([heard, passed]), emitter))
  answers[0]()
  assert.deepEqual(await Promise.all([heard, passed]), [1, 2])
  emitter.pause()
  const paused = emitter.caughtUp(await emitter.append('T', { num: 2 }), { delivered: true })
  assert.ok(await isPending(paused, emitter))
  emitter.resume()
  assert.ok(await isPending(paused, emitter))
  answers[1]()
  assert.equal(await paused, 3)
  const silent = make(t)
  assert.equal(await silent.caughtUp(await silent.append('T', { num: 1 }), { delivered: true }), 1)
})

test('with delivered, caughtUp waits for all events before the cursor, however many', async (t) => {
  const emitter = make(t, path.join(folder(), 'store'))
  let heard = 0
  emitter.on('T', () => heard++)
  const nodes = await Promise.all(Array.from({ length: 3000 }, (_, i) => emitter.append(i % 3 ? 'T' : 'U', i % 3 ? { num: i, foo: 'x'.repeat(200) } : { id: i })))
  for (const at of [10, 1500, 2999]) {
    await emitter.caughtUp(nodes[at], { delivered: true })
    assert.ok(heard >= Array.from({ length: at + 1 }, (_, i) => i).filter((i) => i % 3).length)
  }
  assert.equal(heard, 2000)
})

test('after the timeout, caughtUp rejects with an error that says how far this emitter has come', async (t) => {
  const emitter = make(t)
  const node = await emitter.append('T', { num: 1 })
  const { log, key } = node
  const refused = (cursor, opts, message, seq = cursor.seq) => assert.rejects(emitter.caughtUp(cursor, opts), { name: 'Error', code: 'ERR_HYPER_TIMEOUT', message, log: cursor.log, seq })
  await refused({ log, seq: 3 }, { timeout: 5 }, `not caught up with entry 3 of log ${log} within 5 ms: that log ends here with entry 1`)
  await refused({ log: 'other', seq: 1, key: KEY }, { timeout: 0 }, 'not caught up with entry 1 of log other within 0 ms: nothing of that log is stored here')
  await refused({ log, seq: 1, key: KEY }, { timeout: 0 }, `not caught up with entry 1 of log ${log} within 0 ms: entry 1 of that log is another event here, because the log has forked`)
  assert.equal(await emitter.caughtUp(node, { timeout: 0 }), 1)
  emitter.on('T', (message, done) => {})
  await refused(await emitter.append('T', { num: 2 }), { timeout: 5, delivered: true }, `not caught up with entry 2 of log ${log} within 5 ms: it is stored, but listeners have not answered yet`)
  assert.equal(typeof key, 'string')
})

test('caughtUp rejects when the emitter closes, after it has closed, and when the store cannot be opened', async (t) => {
  const emitter = make(t)
  const missing = { log: 'other', seq: 1, key: KEY }
  emitter.on('T', (message, done) => {})
  const node = await emitter.append('T', { num: 1 })
  const waiting = [emitter.caughtUp(missing), emitter.caughtUp(missing, { timeout: 60000 }), emitter.caughtUp(node, { delivered: true })]
  const reading = all(emitter.read({ since: missing, live: true }))
  const stream = emitter.stream({ from: missing }).resume()
  assert.ok(await isPending(Promise.race([...waiting, reading]), emitter))
  await Promise.all([emitter.close(), ...waiting.map((each) => assert.rejects(each, { code: 'ERR_HYPER_CLOSED' })), new Promise((resolve) => stream.once('close', resolve))])
  assert.deepEqual(await reading, [])
  await assert.rejects(emitter.caughtUp(node), { code: 'ERR_HYPER_CLOSED' })
  const place = path.join(folder(), 'file')
  fs.writeFileSync(place, '')
  const broken = make(t, path.join(place, 'store'))
  broken.status.on('error', () => {})
  await assert.rejects(broken.caughtUp(missing), { code: 'ERR_HYPER_NOT_A_STORE' })
})

test('reading since an event that is not stored is an error, and a live read waits for it', async (t) => {
  const { one, two, connect } = pair(t)
  const nodes = []
  for (let num = 1; num <= 3; num++) nodes.push(await one.append('T', { num }))
  const [, second] = nodes
  const missing = { name: 'Error', code: 'ERR_HYPER_NOT_FOUND', log: second.log, seq: 2, message: `since: entry 2 of log ${second.log} is not stored here: nothing of that log is stored here` }
  await assert.rejects(all(two.read({ since: second })), missing)
  const later = HyperEmitter.cursorOf({ ...nodes[2], seq: 4, key: KEY })
  await assert.rejects(all(one.read({ since: later })), { code: 'ERR_HYPER_NOT_FOUND', message: `since: entry 4 of log ${second.log} is not stored here: that log ends here with entry 3` })
  const live = two.read({ since: second, live: true, names: 'T' })
  const next = live.next()
  const stream = two.stream({ from: HyperEmitter.cursorOf(second) })
  const streamed = new Promise((resolve) => stream.once('data', resolve))
  assert.ok(await isPending(Promise.race([next, streamed]), two))
  await connect()
  assert.equal((await next).value.payload.num, 3)
  assert.equal((await streamed).payload.num, 3)
  await live.return()
  stream.destroy()
})

test('a read that waits for its first event can be left and aborted', async (t) => {
  const emitter = make(t)
  const since = { log: 'other', seq: 1, key: KEY }
  const left = emitter.read({ since, live: true })
  const next = left.next()
  assert.ok(await isPending(next, emitter))
  await left.return()
  assert.equal((await next).done, true)
  const abort = new AbortController()
  const aborted = all(emitter.read({ since, live: true, signal: abort.signal }))
  assert.ok(await isPending(aborted, emitter))
  abort.abort(new Error('enough'))
  await assert.rejects(aborted, { message: 'enough' })
  emitter.stream({ from: since }).destroy()
  // No request waits any more.
  await emitter.append('T', { num: 1 })
})

test('a cursor names one version of a forked log', async (t) => {
  const [one, two] = [path.join(folder(), 'one'), path.join(folder(), 'two')]
  const original = new HyperEmitter(one, SCHEMA)
  await original.append('T', { num: 0 })
  await original.close()
  fs.cpSync(one, two, { recursive: true })
  const [left, right] = [make(t, one), make(t, two)]
  const [ours, theirs] = [await left.append('T', { num: 1 }), await right.append('T', { num: 2 })]
  assert.deepEqual([ours.log, ours.seq], [theirs.log, theirs.seq])
  await assert.rejects(left.caughtUp(theirs, { timeout: 0 }), { code: 'ERR_HYPER_TIMEOUT', message: /entry 2 of that log is another event here, because the log has forked$/ })
  // Each goes on under a log of its own, and keeps what it has: the event arrives, as an entry of another log.
  const arrived = left.caughtUp(theirs, { timeout: 60000 })
  await left.connect((await right.listen(0, HOST)).port, HOST)
  const { value } = await left.read({ since: await arrived - 1, limit: 1 }).next()
  assert.deepEqual([value.key, value.payload.num], [theirs.key, 2])
  assert.equal((await left.read({ since: await left.caughtUp(ours) - 1, limit: 1 }).next()).value.payload.num, 1)
})

test('a wait for an event that never arrives does not hold back other waits', async (t) => {
  const { one, two, connect } = pair(t)
  await connect()
  const nodes = await Promise.all(Array.from({ length: 500 }, (_, num) => one.append('T', { num })))
  const missing = Array.from({ length: 2000 }, (_, i) => two.caughtUp({ log: 'other', seq: i + 1, key: i.toString(16).padStart(64, '0') }))
  const changes = await Promise.all(nodes.map((node) => two.caughtUp(node, { timeout: 60000 })))
  assert.equal(new Set(changes).size, 500)
  assert.ok(await isPending(Promise.race(missing), two))
})

test('values that are not cursors are refused', async (t) => {
  const emitter = make(t)
  const wrong = (why) => ({ name: 'TypeError', code: 'ERR_HYPER_INVALID_ARG', message: why })
  for (const [cursor, why] of [
    ['', /the text is not log:seq:key$/],
    [`a:0:${KEY}`, /the text is not log:seq:key$/],
    [`a:1:${KEY.slice(1)}`, /the text is not log:seq:key$/],
    [`${'a'.repeat(257)}:1:${KEY}`, /the id of its log has more than 256 bytes$/],
    [17, /it names no log$/],
    [undefined, /it names no log$/],
    [{ log: 'a' }, /its seq is not a whole number from 1$/],
    [{ log: 'a', seq: 1.5 }, /its seq is not a whole number from 1$/],
    [{ log: 'a', seq: 1, key: 'x' }, /its key is not 64 lowercase hex digits$/]
  ]) {
    await assert.rejects(emitter.caughtUp(cursor), wrong(why))
    if (typeof cursor === 'string' || typeof cursor === 'object') assert.throws(() => emitter.read({ since: cursor }), wrong(why))
    if (typeof cursor === 'object') assert.throws(() => emitter.stream({ from: cursor }), wrong(why))
  }
  assert.throws(() => HyperEmitter.cursorOf({ log: 'a', seq: 1 }), wrong(/it has no key$/))
  assert.equal(HyperEmitter.cursorOf({ log: 'a:b', seq: 1, key: KEY }), `a:b:1:${KEY}`)
  await assert.rejects(emitter.caughtUp(`a:b:1:${KEY}`, { timeout: 0 }), { log: 'a:b', seq: 1 })
  for (const timeout of [-1, NaN, '5', 2 ** 31]) await assert.rejects(emitter.caughtUp({ log: 'a', seq: 1 }, { timeout }), { name: 'RangeError', code: 'ERR_HYPER_INVALID_ARG' })
  for (const opts of [null, 5, { delivered: 1 }]) await assert.rejects(emitter.caughtUp({ log: 'a', seq: 1 }, opts), { name: 'TypeError', code: 'ERR_HYPER_INVALID_ARG' })
})
