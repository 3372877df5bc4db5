'use strict'

/** Readers: the cost of their signals, where they may start, and events that do not decode. */

const assert = require('node:assert/strict')
const { getEventListeners } = require('node:events')
const { Readable } = require('node:stream')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, until, turns } = require('./helpers')

function make (t, schema = SCHEMA) {
  const emitter = new HyperEmitter(undefined, schema)
  t.after(() => emitter.close())
  return emitter
}

/** Everything that a reader gives. */
async function all (reader) {
  const found = []
  for await (const entry of reader) found.push(entry)
  return found
}

const listeners = (signal) => getEventListeners(signal, 'abort').length

test('a live read adds one listener to its signal, however many events it returns', async (t) => {
  const emitter = make(t)
  const { signal } = new AbortController()
  let most = 0
  let read = 0
  const reading = (async () => {
    for await (const { change } of emitter.read({ live: true, signal })) {
      read = change
      most = Math.max(most, listeners(signal))
      if (change === 200) break
    }
  })()
  for (let num = 1; num <= 200; num++) {
    await emitter.append('T', { num })
    // Every event is a batch of its own.
    await until(() => read === num)
  }
  await reading
  assert.deepEqual([most, listeners(signal)], [1, 0])
})

test('readers that end remove their listeners from a signal that is still in use', async (t) => {
  const emitter = make(t)
  await emitter.append('T', { num: 1 })
  const { signal } = new AbortController()
  for (let i = 0; i < 50; i++) await all(emitter.read({ limit: 1, signal }))
  for await (const entry of emitter.read({ live: true, signal })) if (entry) break
  await assert.rejects(all(emitter.read({ since: 99, signal })))
  assert.equal(listeners(signal), 0)
})

test('a signal ends a reader before the store is open, between two events, and while it waits', async (t) => {
  const reason = new Error('enough')
  const early = new AbortController()
  const opening = all(make(t).read({ signal: early.signal }))
  early.abort(reason)
  await assert.rejects(opening, reason)
  const emitter = make(t)
  for (let num = 1; num <= 5; num++) await emitter.append('T', { num })
  await assert.rejects(all(emitter.read({ signal: early.signal })), reason)
  const between = new AbortController()
  const seen = []
  await assert.rejects(async () => {
    for await (const { change } of emitter.read({ signal: between.signal })) {
      seen.push(change)
      if (change === 2) between.abort(reason)
    }
  }, reason)
  assert.deepEqual(seen, [1, 2])
  const waiting = new AbortController()
  const live = all(emitter.read({ since: 5, live: true, signal: waiting.signal }))
  await turns(5)
  waiting.abort(reason)
  await assert.rejects(live, reason)
  assert.throws(() => emitter.read({ signal: {} }), { code: 'ERR_HYPER_INVALID_ARG' })
})

test('a change beyond the end of the log is refused, or reported by a live read', async (t) => {
  const emitter = make(t)
  const warned = []
  emitter.status.on('warning', ({ code }) => warned.push(code))
  await emitter.append('T', { num: 1 })
  await assert.rejects(all(emitter.read({ since: 2 })), { code: 'ERR_HYPER_INVALID_ARG', message: /since is 2, but the log ends with change 1/ })
  await assert.rejects(emitter.position('mine', 2), { code: 'ERR_HYPER_INVALID_ARG' })
  assert.deepEqual(await all(emitter.read({ since: 1 })), [])
  await emitter.position('mine', 1)
  const live = emitter.read({ since: 2, live: true }).next()
  const stream = emitter.stream({ from: 2 })
  await until(() => warned.length === 2)
  assert.deepEqual(warned, ['ERR_HYPER_INVALID_ARG', 'ERR_HYPER_INVALID_ARG'])
  await emitter.append('T', { num: 2 })
  await emitter.append('T', { num: 3 })
  assert.equal((await live).value.change, 3)
  stream.destroy()
})

test('a change that is given before the store is open is checked once it is open', async (t) => {
  const emitter = make(t)
  const stored = emitter.append('T', { num: 1 })
  const refused = assert.rejects(emitter.position('mine', 7), { code: 'ERR_HYPER_INVALID_ARG' })
  await stored
  await refused
})

test('position without a change reads it, and position with undefined is refused', async (t) => {
  const emitter = make(t)
  await emitter.append('T', { num: 1 })
  await emitter.position('mine', 1)
  await assert.rejects(emitter.position('mine', undefined), { name: 'TypeError', code: 'ERR_HYPER_INVALID_ARG' })
  assert.equal(await emitter.position('mine'), 1)
})

test('an event that does not decode has an error with a code, whatever the codec threw', async (t) => {
  for (const thrown of [new Error('a reason'), undefined, null, 'text']) {
    const emitter = make(t, { odd: { encode: (text) => text, decode () { throw thrown } } })
    const warned = []
    emitter.status.on('warning', (error) => warned.push(error))
    emitter.on('odd', () => assert.fail('heard'))
    const stream = emitter.stream()
    stream.on('data', () => assert.fail('streamed'))
    await emitter.append('odd', 'x')
    const [{ raw, error }] = await all(emitter.read())
    await until(() => warned.length === 2)
    stream.destroy()
    assert.equal(String(raw), 'x')
    for (const each of [error, ...warned]) {
      assert.deepEqual([each.code, each.event, each.change, each.cause], ['ERR_HYPER_DECODE', 'odd', 1, thrown])
    }
  }
})

test('heads returns the change, key, log and seq of each head, and _hyperlog.heads returns nodes', async (t) => {
  const emitter = make(t)
  const node = await emitter.append('T', { num: 1 })
  assert.deepEqual(await emitter.heads(), [{ change: 1, key: node.key, log: node.log, seq: 1 }])
  assert.deepEqual(await emitter._hyperlog.heads(), [node])
})

test('a live reader can be left while it waits, even before the store is open', async (t) => {
  const emitter = new HyperEmitter()
  t.after(() => emitter.close())
  for (const opened of [false, true]) {
    if (opened) await emitter.append('x', 'y')
    const since = opened ? 1 : 0
    const left = emitter.read({ live: true, since })
    const waiting = left.next()
    assert.deepEqual(await left.return('value'), { value: 'value', done: true })
    assert.deepEqual(await waiting, { value: undefined, done: true })

    const failed = emitter.read({ live: true, since })
    const [next, thrown] = await Promise.allSettled([failed.next(), failed.throw(new Error('own'))])
    assert.equal(next.value.done, true)
    assert.equal(thrown.reason.message, 'own')
  }
  // A stream that Node.js makes of a reader is released at once, and not with the next event.
  const readable = Readable.from(emitter.read({ live: true, since: 1 })).resume()
  await new Promise((resolve) => setImmediate(resolve))
  readable.destroy()
  await new Promise((resolve) => readable.once('close', resolve))
})
