'use strict'

/** How subscriptions stop, what is known about a stopped one, and what can be done with it. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const { test } = require('node:test')

const { ENTRY, SCHEMA, child, folder, until } = require('../emitter/helpers')
const { all, make } = require('../emitter/stores')
const { emitAll, numbers, partsOf, warnings } = require('./helpers')

test('a subscription with 256 parked entries stops when one more fails, and reports it', async (t) => {
  const db = path.join(folder(), 'store')
  let emitter = make(t, db)
  await emitAll(emitter, 1, 300)
  const heard = warnings(emitter)
  const fail = () => { throw new Error('all of them fail') }
  const how = { attempts: 1, key: ({ seq }) => seq, concurrency: 300 }
  let subscription = emitter.subscribe('mails', {}, fail, how)
  await until(() => heard.length > 0)
  assert.equal(heard[0].code, 'ERR_HYPER_PARKED')
  assert.match(heard[0].message, /'mails' has stopped, because 256 entries are parked and one more has failed \(all of them fail\): retry or skip/)
  await subscription.stop()
  assert.equal(emitter.listenerCount('T'), 0)
  await emitter.close()
  emitter = make(t, db)
  subscription = emitter.subscribe('mails', {}, fail, how)
  const [error] = await once(subscription, 'error')
  assert.equal(error.code, 'ERR_HYPER_PARKED')
  const calls = []
  subscription = await subscription.stop().then(() => emitter.subscribe('mails', {}, ({ payload }) => { calls.push(payload.num) }, how))
  assert.equal((await subscription.parked()).length, 256)
  await subscription.caughtUp()
  assert.deepEqual(calls, numbers(257, 300), 'the one that did not fit is not lost')
})

test('close waits for running handlers, and their events are stored', async (t) => {
  const db = path.join(folder(), 'store')
  const emitter = make(t, db)
  await emitAll(emitter, 1, 1)
  let begun = false
  let finish
  emitter.subscribe('mails', {}, async (entry, context) => {
    if (entry.name === 'U') return
    begun = true
    await new Promise((resolve) => { finish = resolve })
    await emitter.append('U', { id: 1 })
    context.append('U', { id: 2 })
  })
  await until(() => begun)
  const closed = emitter.close()
  assert.throws(() => emitter.subscribe('other', {}, () => {}), { code: 'ERR_HYPER_CLOSED' })
  finish()
  await closed
  const again = make(t, db)
  const entries = await all(again.read({ names: 'U' }))
  assert.deepEqual(entries.map(({ payload }) => payload.id), [1, 2])
})

test('a signal stops a subscription, and caughtUp is emitted each time the end is reached', async (t) => {
  const emitter = make(t)
  const controller = new AbortController()
  await emitAll(emitter, 1, 3)
  const subscription = emitter.subscribe('mails', {}, () => {}, { signal: controller.signal })
  assert.deepEqual(await once(subscription, 'caughtUp'), [3])
  const next = once(subscription, 'caughtUp')
  await emitAll(emitter, 4, 4)
  assert.deepEqual(await next, [4])
  controller.abort()
  await subscription.stop()
  await assert.rejects(subscription.caughtUp(), { code: 'ERR_HYPER_CLOSED' })
  const late = emitter.subscribe('mails', {}, () => assert.fail('it was aborted before'), { signal: controller.signal })
  await late.stop()
})

test('close does not wait for ever for a handler, whose entry is handled again next time', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const db = path.join(folder(), 'store')
  const emitter = make(t, db)
  await emitAll(emitter, 1, 2)
  const signals = []
  emitter.subscribe('mails', {}, (entry, { signal }) => {
    signals.push(signal)
    return new Promise(() => {})
  }, { timeout: Infinity })
  await until(() => signals.length === 1)
  const closed = emitter.close()
  t.mock.timers.tick(4999)
  assert.equal(signals[0].aborted, false)
  t.mock.timers.tick(1)
  await closed
  assert.equal(signals[0].aborted, true)
  t.mock.timers.reset()
  const calls = []
  const again = make(t, db)
  await again.subscribe('mails', {}, ({ payload }, { attempt }) => { calls.push([payload.num, attempt]) }).caughtUp()
  assert.deepEqual(calls, [[1, 2], [2, 1]], 'an attempt that was given up counts')
})

test('stats reports how far each subscription has come, and how many entries it has parked', async (t) => {
  const db = path.join(folder(), 'store')
  let emitter = make(t, db)
  await emitAll(emitter, 1, 4)
  const stop = new AbortController()
  const stuck = emitter.subscribe('stuck', { names: 'T' }, ({ payload: { num } }) => {
    if (num === 2) throw new Error('no')
    if (num === 3) stop.abort()
  }, { attempts: 1, signal: stop.signal })
  const ahead = emitter.subscribe('ahead', {}, () => {})
  await ahead.caughtUp()
  await until(() => stop.signal.aborted)
  await stuck.stop()
  const { consumers } = await emitter.stats()
  const { age, undone, ...others } = consumers[1]
  assert.deepEqual(consumers[0], { name: 'ahead', live: true, change: 4, behind: 0, age: 0, undone: 0, parked: 0 })
  assert.deepEqual(others, { name: 'stuck', live: false, change: 3, behind: 1, parked: 1 })
  assert.ok(age >= 0 && age < 3_600_000 && undone <= 1)
  await emitter.close()
  emitter = make(t, db)
  assert.deepEqual((await emitter.stats()).consumers.map(({ name, live, behind }) => [name, live, behind]), [['ahead', false, 0], ['stuck', false, 1]])
})

test('the records of a subscription can be changed while it is not running', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 4)
  const calls = []
  let broken = true
  const subscribe = () => emitter.subscribe('mails', {}, ({ payload: { num } }) => {
    calls.push(num)
    if (broken && num < 4) throw new Error('no')
  }, { attempts: 1 })
  let subscription = subscribe()
  await subscription.caughtUp()
  const consumer = emitter.consumer('mails')
  await assert.rejects(consumer.reset(), { code: 'ERR_HYPER_INVALID_ARG', message: /'mails' is already running/ })
  await subscription.stop()
  const parked = await consumer.parked()
  assert.deepEqual(parked.map(({ change }) => change), [1, 2, 3])
  await consumer.retry(parked[0])
  await consumer.skip(parked[1].cursor)
  await assert.rejects(consumer.skip(parked[1].cursor), { code: 'ERR_HYPER_NOT_FOUND' })
  await assert.rejects(consumer.retry('nonsense'), { code: 'ERR_HYPER_INVALID_ARG' })
  broken = false
  calls.length = 0
  subscription = subscribe()
  await until(() => calls.length === 1)
  assert.deepEqual((await subscription.parked()).map(({ change }) => change), [3])
  await subscription.stop()
  await consumer.reset(2)
  subscription = subscribe()
  await subscription.caughtUp()
  assert.deepEqual([calls, await subscription.parked()], [[1, 3, 4], []])
  await subscription.stop()
  await assert.rejects(consumer.reset(5), RangeError)
  await consumer.remove()
  assert.deepEqual((await emitter.stats()).consumers, [])
  assert.throws(() => emitter.consumer(''), { code: 'ERR_HYPER_INVALID_ARG' })
})

test('a process with nothing left to do ends by itself, and the checkpoint is stored', async (t) => {
  const db = path.join(folder(), 'store')
  const script = `
    const emitter = new HyperEmitter(process.argv.at(-1), SCHEMA)
    emitter.emit('T', { num: 1 })
    const heard = []
    emitter.subscribe('mails', {}, async ({ payload }) => { console.log(payload.num) })
  `
  for (const num of [1, 1]) {
    const { code, stdout, stderr } = await child(script, { args: [db] })
    assert.deepEqual([code, stdout, stderr], [0, `${num}\n`, ''])
  }
  const emitter = make(t, db)
  await emitter.ready()
  const { consumers: [{ change, undone }] } = await emitter.stats()
  assert.deepEqual([change, undone], [2, 0])
})

test('an attempt that fails while the subscription stops does not keep the process alive', async () => {
  const { code, stdout } = await child(`
    const emitter = new HyperEmitter(null, SCHEMA)
    emitter.emit('T', { num: 1 })
    const subscription = emitter.subscribe('mails', {}, () => new Promise((resolve, reject) => setImmediate(() => {
      subscription.stop().then(() => console.log('stopped'))
      reject(new Error('no'))
    })), { backoff: 3_600_000 })
  `)
  assert.deepEqual([code, stdout], [0, 'stopped\n'])
})

test('checkpoint and parked entries survive when the index is rebuilt', async (t) => {
  const db = path.join(folder(), 'store')
  const first = make(t, db)
  await emitAll(first, 1, 5)
  const handler = ({ payload: { num } }) => {
    if (num === 2) throw new Error('no')
  }
  await first.subscribe('mails', {}, handler, { attempts: 1 }).caughtUp()
  await first.close()
  fs.rmSync(path.join(db, 'index'), { recursive: true })
  const again = make(t, db)
  const subscription = again.subscribe('mails', {}, () => assert.fail('nothing is left'))
  await subscription.caughtUp()
  assert.deepEqual((await subscription.parked()).map(({ change, reason }) => [change, reason]), [[2, 'no']])
})

test('after a crash, the entries that may have begun are handled one at a time, and after a stop no entries are', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 20)
  const { consumers: { records } } = partsOf(emitter)
  const handle = async (ahead, isStopped = false) => {
    const record = `{"version":1,"change":5,"undone":[2,0,4,1],"ahead":${ahead}}`
    await new Promise((resolve, reject) => records.write('mails', [{ change: 0, text: record }], (error) => error ? reject(error) : resolve()))
    // One that is stopped before it has taken anything forgets nothing.
    if (isStopped) {
      const paused = emitter.subscribe('mails', {}, () => assert.fail('it is paused')).pause()
      await paused.parked()
      await paused.stop()
    }
    const calls = []
    let atWork = 0
    const subscription = emitter.subscribe('mails', {}, async ({ payload: { num } }, { attempt }) => {
      calls.push([num, attempt, ++atWork])
      for (let i = 0; i < 5; i++) await null
      atWork--
    }, { key: ({ seq }) => seq, concurrency: 4 })
    await subscription.caughtUp()
    await subscription.stop()
    return { calls, most: (first, last) => Math.max(...calls.slice(first, last).map(([,, atWork]) => atWork)) }
  }
  const crashed = await handle(3)
  const attempts = (calls) => calls.map(([num, attempt]) => [num, attempt])
  assert.deepEqual(attempts(crashed.calls), [[2, 2], [4, 2], [6, 2], [7, 2], [8, 2], ...numbers(9, 20).map((num) => [num, 1])])
  assert.equal(crashed.most(0, 5), 1)
  assert.ok(crashed.most(5) > 1)
  const stopped = await handle(0, true)
  assert.deepEqual(attempts(stopped.calls).sort(([a], [b]) => a - b), [[2, 1], [4, 2], ...numbers(6, 20).map((num) => [num, 1])])
  assert.ok(stopped.most(0) > 1)
})

test('with more attempts allowed, a subscription makes the last attempt again, and entries that another query left undone do not matter', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 300)
  const fail = () => { throw new Error('no') }
  const how = { attempts: 2, backoff: 0, key: ({ seq }) => seq, concurrency: 300 }
  const first = emitter.subscribe('mails', {}, fail, how)
  await once(first, 'error')
  await first.stop()
  for (const parked of (await emitter.consumer('mails').parked()).slice(0, 200)) await emitter.consumer('mails').skip(parked)
  const attempts = []
  const second = emitter.subscribe('mails', {}, (entry, { attempt }) => { attempts.push(attempt) }, how)
  await second.caughtUp()
  assert.equal((await second.parked()).length, 56, 'none is parked without another attempt')
  assert.ok(attempts.length >= 44 && attempts.every((attempt) => attempt <= 2))
  await second.stop()

  await emitAll(emitter, 301, 302)
  const third = emitter.subscribe('mails', { names: 'T' }, fail, { backoff: 3_600_000 })
  await once(third, 'failed')
  await third.stop()
  const fourth = emitter.subscribe('mails', { names: 'U' }, () => {})
  await fourth.caughtUp()
  const { consumers: [{ behind, undone }] } = await emitter.stats()
  assert.deepEqual([behind, undone], [0, 0])
})

test('an entry that is dropped while it is retried stays dropped', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 1)
  let finish
  let calls = 0
  const subscription = emitter.subscribe('mails', {}, () => {
    calls++
    return new Promise((resolve, reject) => { finish = reject })
  }, { attempts: 1 })
  await until(() => calls === 1)
  finish(new Error('no'))
  await subscription.caughtUp()
  const [parked] = await subscription.parked()
  await Promise.all([subscription.retry(parked), subscription.retry(parked)])
  await until(() => calls === 2)
  await subscription.skip(parked)
  finish(new Error('no'))
  await subscription.stop()
  assert.deepEqual([calls, await emitter.consumer('mails').parked()], [2, []])
})

test('invalid records stop only their own subscription, with an error, and can be reset', async (t) => {
  const emitter = make(t)
  await emitAll(emitter, 1, 3)
  const { consumers: { records } } = partsOf(emitter)
  const set = (...written) => new Promise((resolve, reject) => records.write('mails', written, (error) => error ? reject(error) : resolve()))
  const heard = warnings(emitter)
  const good = '{"version":1,"change":1,"undone":[],"ahead":0}'
  for (const [change, text, code, message] of [
    [0, 'no JSON', 'ERR_HYPER_DAMAGED', /the record 0 of subscription 'mails'/],
    [0, '{"version":2,"change":1,"undone":[],"ahead":0}', 'ERR_HYPER_DAMAGED', /record 0/],
    [0, '{"version":1,"change":1,"undone":["1"],"ahead":0}', 'ERR_HYPER_DAMAGED', /record 0/],
    [2, '{"parked":7}', 'ERR_HYPER_DAMAGED', /record 2/],
    [0, good.replace('1,"undone', '4,"undone'), 'ERR_HYPER_INVALID_ARG', /checkpoint of subscription 'mails' is 4, but the log ends with change 3/]
  ]) {
    await set({ change: 0, text: good }, { change, text })
    const subscription = emitter.subscribe('mails', {}, () => assert.fail('it has no place'))
    await assert.rejects(subscription.caughtUp(), { code })
    await assert.rejects(subscription.parked(), { code })
    await subscription.stop()
    const error = heard.pop()
    assert.equal(error.code, code)
    assert.match(error.message, message)
    const { consumers: [{ name, fault }] } = await emitter.stats()
    assert.deepEqual([name, typeof fault], ['mails', code === 'ERR_HYPER_DAMAGED' ? 'string' : 'undefined'])
    await emitter.consumer('mails').reset(2)
    const calls = []
    const again = emitter.subscribe('mails', {}, ({ payload }) => { calls.push(payload.num) })
    await again.caughtUp()
    await again.stop()
    assert.deepEqual(calls, [3])
  }
})

test('importFrom does not copy subscriptions, because their changes belong to one store', async (t) => {
  const db = path.join(folder(), 'store')
  const source = make(t, db)
  await emitAll(source, 1, 2)
  await source.subscribe('mails', {}, () => { throw new Error('no') }, { attempts: 1 }).caughtUp()
  await source.close()
  const emitter = make(t)
  await emitter.importFrom(db)
  const { change, consumers } = await emitter.stats()
  assert.deepEqual([change, consumers], [2, []])
})

test('a subscription works in a worker, and the end of the worker leaves no resources', async (t) => {
  const db = path.join(folder(), 'store')
  const script = `
    const { parentPort, workerData: { entry, schema, db } } = require('node:worker_threads')
    const HyperEmitter = require(entry)
    const emitter = new HyperEmitter(db, schema)
    emitter.subscribe('mails', { names: 'T' }, ({ payload: { num } }, context) => {
      context.append('U', { id: num })
      parentPort.postMessage(num)
      return num < 3 ? undefined : new Promise(() => {})
    })
    for (let num = 1; num <= 5; num++) emitter.emit('T', { num })
  `
  const worker = new Worker(script, { eval: true, workerData: { entry: ENTRY, schema: SCHEMA, db } })
  const heard = []
  worker.on('message', (num) => heard.push(num))
  await until(() => heard.length === 3)
  await worker.terminate()
  const emitter = make(t, db)
  const calls = []
  const subscription = emitter.subscribe('mails', { names: 'T' }, ({ payload: { num } }, context) => {
    calls.push(num)
    context.append('U', { id: num })
  })
  await subscription.caughtUp()
  await subscription.stop()
  assert.deepEqual([heard, calls], [[1, 2, 3], [3, 4, 5]], 'what has derived events is not repeated')
  assert.deepEqual((await all(emitter.read({ names: 'U' }))).map(({ payload }) => payload.id), numbers(1, 5))
})
