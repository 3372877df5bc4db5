'use strict'

/** Durable subscriptions: in memory, in a folder, and in a Level database. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { AsyncLocalStorage } = require('node:async_hooks')
const { once } = require('node:events')
const { PassThrough } = require('node:stream')
const { describe, test } = require('node:test')

const { HyperEmitter, SCHEMA, folder, until } = require('../emitter/helpers')
const { STORES, all, make } = require('../emitter/stores')

/** Emits T from `first` to `last`. */
async function emitAll (emitter, first, last) {
  for (let num = first; num < last; num++) emitter.emit('T', { num })
  await emitter.append('T', { num: last })
}

/** From `first` to `last`. */
const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => first + index)

/** Warnings of an emitter. */
function warnings (emitter) {
  const heard = []
  emitter.status.on('warning', (error) => heard.push(error))
  return heard
}

for (const [what, store] of STORES) {
  describe(`subscriptions in ${what}`, () => {
    test('hear what is stored and what follows, in order, and go on where they stopped', async (t) => {
      const db = store()
      let emitter = make(t, db)
      await emitAll(emitter, 1, 50)
      await emitter.append('U', { id: 1 })
      const heard = []
      const handler = async ({ name, payload }) => {
        await null
        heard.push(payload.num ?? name)
      }
      let subscription = emitter.subscribe('mails', { names: ['T'] }, handler)
      await subscription.caughtUp()
      assert.deepEqual(heard, numbers(1, 50))
      await emitAll(emitter, 51, 60)
      await subscription.caughtUp()
      assert.deepEqual(heard, numbers(1, 60))
      await subscription.stop()
      await emitAll(emitter, 61, 70)
      if (what !== 'memory' && what !== 'a Level database') {
        await emitter.close()
        emitter = make(t, db)
      }
      subscription = emitter.subscribe('mails', { names: ['T'] }, handler, { from: 'now' })
      await subscription.caughtUp()
      assert.deepEqual(heard, numbers(1, 70), 'a name keeps its place, whatever `from` says')
      const other = []
      const second = emitter.subscribe('other', null, ({ change }) => { other.push(change) })
      await second.caughtUp()
      assert.deepEqual(other, numbers(1, 71), 'each name has a place of its own')
    })

    test('a new name starts at the beginning, now, behind a change, or behind an event', async (t) => {
      const emitter = make(t, store())
      await emitAll(emitter, 1, 5)
      const [, second] = await all(emitter.read())
      const from = async (from) => {
        const heard = []
        const subscription = emitter.subscribe(`from ${typeof from} ${String(from)}`, {}, ({ change }) => { heard.push(change) }, { from })
        await subscription.caughtUp()
        return heard
      }
      assert.deepEqual(await from(undefined), [1, 2, 3, 4, 5])
      assert.deepEqual(await from('now'), [])
      assert.deepEqual(await from(3), [4, 5])
      assert.deepEqual(await from(second.cursor), [3, 4, 5])
      const heard = warnings(emitter)
      const wrong = emitter.subscribe('wrong', {}, () => {}, { from: 6 })
      await assert.rejects(wrong.caughtUp())
      await until(() => heard.length > 0)
      assert.match(heard[0].message, /from is 6, but the log ends with change 5/)
    })

    test('a handler that fails is called again, and holds back its own key only', async (t) => {
      const emitter = make(t, store())
      for (let num = 1; num <= 6; num++) emitter.emit('T', { num, foo: num % 2 ? 'odd' : 'even' })
      const calls = []
      const failures = []
      let let3pass = false
      const subscription = emitter.subscribe('mails', { names: 'T' }, async ({ payload: { num } }, { attempt }) => {
        calls.push([num, attempt])
        if (num === 3 && !let3pass) throw new Error('not yet')
      }, { key: ({ payload }) => payload.foo, attempts: Infinity, backoff: () => 0 })
      subscription.on('failed', (error, { payload: { num } }, { attempt, delay }) => failures.push([error.message, num, attempt, delay]))
      await until(() => calls.some(([num, attempt]) => num === 3 && attempt > 2) && calls.some(([num]) => num === 6))
      assert.equal(calls.some(([num]) => num === 5), false, 'the next of its key waits')
      let3pass = true
      await subscription.caughtUp()
      assert.deepEqual(failures.slice(0, 2), [['not yet', 3, 1, 0], ['not yet', 3, 2, 0]])
      const of = (rest) => [...new Set(calls.map(([num]) => num).filter((num) => num % 2 === rest))]
      assert.deepEqual([of(1), of(0)], [[1, 3, 5], [2, 4, 6]])
      const attempts = calls.filter(([num]) => num === 3).map(([, attempt]) => attempt)
      assert.deepEqual(attempts, numbers(1, attempts.length))
    })

    test('what fails at every attempt is parked with the reason, and can be retried or skipped', async (t) => {
      const db = store()
      let emitter = make(t, db)
      await emitAll(emitter, 1, 5)
      const calls = []
      let broken = true
      const handler = ({ payload: { num } }) => {
        calls.push(num)
        if (broken && num < 4) throw new Error(`number ${num} ${'x'.repeat(3000)}`)
      }
      const how = { attempts: 3, backoff: [0, 1] }
      let subscription = emitter.subscribe('mails', { names: 'T' }, handler, how)
      const told = []
      subscription.on('parked', ({ change, attempts }, error) => told.push([change, attempts, error.message.slice(0, 8)]))
      await subscription.caughtUp()
      assert.deepEqual(calls, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5])
      assert.deepEqual(told, [[1, 3, 'number 1'], [2, 3, 'number 2'], [3, 3, 'number 3']])
      await subscription.stop()
      if (what === 'a folder') {
        await emitter.close()
        emitter = make(t, db)
      }
      subscription = emitter.subscribe('mails', { names: 'T' }, handler, how)
      const parked = await subscription.parked()
      assert.deepEqual(parked.map(({ change, name, attempts }) => [change, name, attempts]), [[1, 'T', 3], [2, 'T', 3], [3, 'T', 3]])
      const [first, second, third] = parked
      assert.ok(first.reason.startsWith('number 1 xxx') && first.reason.length === 500 && first.stack.length === 1500, 'the texts are bounded')
      assert.ok(Math.abs(Date.now() - first.at) < 3_600_000)
      calls.length = 0
      const again = once(subscription, 'parked')
      await subscription.retry(first.cursor)
      await again
      assert.deepEqual(calls, [1, 1, 1])
      assert.equal((await subscription.parked()).length, 3, 'it is parked again')
      broken = false
      await subscription.retry(first)
      await subscription.skip(second.cursor)
      await assert.rejects(subscription.skip(second.cursor), { code: 'ERR_HYPER_NOT_FOUND', message: /neither parked nor waiting/ })
      await until(() => calls.length === 4)
      assert.deepEqual((await subscription.parked()).map(({ change }) => change), [third.change])
      await subscription.stop()
      subscription = emitter.subscribe('mails', { names: 'T' }, handler, how)
      assert.deepEqual((await subscription.parked()).map(({ change }) => change), [third.change], 'and that is durable')
      assert.deepEqual(calls, [1, 1, 1, 1])
    })

    test('an entry that waits for its next attempt can be tried at once, or skipped', async (t) => {
      const emitter = make(t, store())
      await emitAll(emitter, 1, 2)
      const calls = []
      const subscription = emitter.subscribe('mails', { names: 'T' }, ({ payload: { num } }) => {
        calls.push(num)
        if (num === 1) throw new Error('always')
      }, { backoff: 3_600_000 })
      const [, entry] = await once(subscription, 'failed')
      const again = once(subscription, 'failed')
      await subscription.retry(entry)
      await again
      await subscription.skip(entry)
      await subscription.caughtUp()
      assert.deepEqual(calls, [1, 1, 2])
      assert.deepEqual(await subscription.parked(), [])
    })

    test('attempts are counted over restarts', async (t) => {
      const emitter = make(t, store())
      await emitAll(emitter, 1, 1)
      const attempts = []
      for (const expected of [[1], [1, 2], [1, 2, 3]]) {
        const subscription = emitter.subscribe('mails', {}, (entry, { attempt }) => {
          attempts.push(attempt)
          throw new Error('never')
        }, { attempts: 3, backoff: 3_600_000 })
        const parked = once(subscription, 'parked')
        await once(subscription, expected.length < 3 ? 'failed' : 'parked')
        if (expected.length === 3) await parked
        await subscription.stop()
        assert.deepEqual(attempts, expected)
      }
    })

    test('a handler that does not answer in time has failed, and its signal says so', async (t) => {
      const emitter = make(t, store())
      await emitAll(emitter, 1, 2)
      const reasons = []
      const calls = []
      const subscription = emitter.subscribe('mails', {}, ({ payload: { num } }, { attempt, signal }) => {
        calls.push([num, attempt])
        if (num === 2 || attempt > 1) return
        return new Promise((resolve, reject) => signal.addEventListener('abort', () => {
          reasons.push(signal.reason.code)
          resolve('late')
        }))
      }, { timeout: 1, backoff: 0 })
      const [error] = await once(subscription, 'failed')
      await subscription.caughtUp()
      assert.equal(error.code, 'ERR_HYPER_TIMEOUT')
      assert.deepEqual([reasons, calls], [['ERR_HYPER_TIMEOUT'], [[1, 1], [1, 2], [2, 1]]])
    })

    test('so many keys are handled at once, and each in order', async (t) => {
      const emitter = make(t, store())
      for (let num = 1; num <= 60; num++) emitter.emit('T', { num, foo: String(num % 7) })
      await emitter.append('U', { id: 1 })
      let atWork = 0
      let most = 0
      const byKey = new Map()
      const busy = new Set()
      const subscription = emitter.subscribe('mails', { names: 'T' }, async ({ payload: { num, foo } }) => {
        assert.equal(busy.has(foo), false, 'one at a time')
        busy.add(foo)
        most = Math.max(most, ++atWork)
        for (let i = num % 5; i >= 0; i--) await null
        byKey.set(foo, [...byKey.get(foo) ?? [], num])
        busy.delete(foo)
        atWork--
      }, { key: ({ payload }) => payload.foo, concurrency: 4 })
      await subscription.caughtUp()
      assert.equal(most, 4)
      for (const [key, handled] of byKey) assert.deepEqual(handled, numbers(1, 60).filter((num) => String(num % 7) === key))
    })

    test('events that a handler appends are stored when it has succeeded, once, and with the place', async (t) => {
      const emitter = make(t, store())
      await emitAll(emitter, 1, 20)
      const subscription = emitter.subscribe('orders', { names: 'T' }, async ({ payload: { num } }, context) => {
        context.append('U', { id: num }, { tags: ['derived'] })
        context.append([{ name: 'U', payload: { id: -num } }])
        if (num % 3 === 0 && context.attempt < 3) throw new Error('what it has appended is forgotten')
        if (num === 20) setImmediate(() => assert.throws(() => context.append('U', { id: 0 }), { code: 'ERR_HYPER_CLOSED' }))
      }, { backoff: 0 })
      await subscription.caughtUp()
      await subscription.stop()
      const ids = (await all(emitter.read({ names: 'U' }))).map(({ payload }) => payload.id)
      assert.deepEqual(ids, numbers(1, 20).flatMap((num) => [num, -num]))
      assert.equal((await all(emitter.read({ tags: 'derived' }))).length, 20)
      const again = emitter.subscribe('orders', { names: 'T' }, () => assert.fail('nothing is left'))
      await again.caughtUp()
    })

    test('events that cannot be stored fail the attempt', async (t) => {
      const emitter = make(t, store())
      await emitAll(emitter, 1, 1)
      const subscription = emitter.subscribe('orders', { names: 'T' }, (entry, context) => {
        context.append('U', { id: 1 })
        context.append('U', {})
      }, { attempts: 2, backoff: 0 })
      const [parked] = await once(subscription, 'parked')
      assert.equal(parked.attempts, 2)
      assert.match(parked.reason, /id is required/)
      await subscription.caughtUp()
      assert.deepEqual(await all(emitter.read({ names: 'U' })), [])
    })

    test('pause begins nothing more, stop waits for what is at work', async (t) => {
      const emitter = make(t, store())
      await emitAll(emitter, 1, 3)
      const calls = []
      let finish
      const subscription = emitter.subscribe('mails', {}, ({ payload: { num } }) => {
        calls.push(num)
        return new Promise((resolve) => { finish = resolve })
      })
      await until(() => calls.length === 1)
      subscription.pause()
      assert.equal(subscription.isPaused(), true)
      finish()
      await emitter.stats()
      await emitter.stats()
      assert.deepEqual(calls, [1])
      subscription.resume()
      await until(() => calls.length === 2)
      let stopped = false
      const stop = subscription.stop().then(() => { stopped = true })
      await emitter.stats()
      assert.equal(stopped, false)
      await assert.rejects(subscription.caughtUp(), { code: 'ERR_HYPER_CLOSED', message: /subscription is stopped/ })
      finish()
      await stop
      const rest = []
      const again = emitter.subscribe('mails', {}, ({ payload: { num } }) => { rest.push(num) })
      await again.caughtUp()
      assert.deepEqual([calls, rest], [[1, 2], [3]])
    })

    test('the way over other names is kept, and costs no checkpoint each', async (t) => {
      const emitter = make(t, store())
      const subscription = emitter.subscribe('mails', { names: 'U' }, () => {}, { checkpoint: { every: 10 } })
      await subscription.caughtUp()
      const { commits } = await emitter.stats()
      let made = 0
      for (let num = 1; num <= 40; num++) {
        made++
        await emitter.append('T', { num })
        await subscription.caughtUp()
      }
      let saved = 0
      while (saved === 0) saved = (await emitter.stats()).commits - commits - made
      assert.ok(saved <= 4, `${saved} checkpoints for ${made} events`)
    })

    test('with nothing to do, a subscription writes nothing', async (t) => {
      const emitter = make(t, store())
      const first = emitter.subscribe('mails', {}, () => {})
      await first.caughtUp()
      await first.stop()
      const { commits } = await emitter.stats()
      const again = emitter.subscribe('mails', {}, () => {})
      await again.caughtUp()
      assert.equal((await emitter.stats()).commits, commits)
    })
  })
}

test('a name has one subscription at a time, and options that make no sense are refused', async (t) => {
  const emitter = make(t)
  const subscription = emitter.subscribe('mails', {}, () => {})
  assert.throws(() => emitter.subscribe('mails', {}, () => {}), { code: 'ERR_HYPER_INVALID_ARG', message: /'mails' is at work/ })
  await subscription.stop()
  const wrong = (name, query, handler, options, message) => {
    assert.throws(() => emitter.subscribe(name, query, handler, options), { code: 'ERR_HYPER_INVALID_ARG', message })
  }
  const ok = () => {}
  wrong('', {}, ok, {}, /name must be a text/)
  wrong(7, {}, ok, {}, /name must be a text/)
  wrong('x'.repeat(257), {}, ok, {}, /more than 256 bytes/)
  wrong('a@b', {}, ok, {}, /must not contain @/)
  wrong('a', 'T', ok, {}, /query must be an object/)
  wrong('a', { names: 'T', query: [] }, ok, {}, /query/)
  wrong('a', {}, 7, {}, /handler must be a function/)
  wrong('a', {}, ok, null, /options must be an object/)
  wrong('a', {}, ok, { key: 7 }, /key must be a function/)
  wrong('a', {}, ok, { concurrency: 0 }, /concurrency must be a whole number from 1, not 0/)
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

test('with so many parked entries a subscription stops and says so', async (t) => {
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

test('close waits for handlers that are at work, whose events are stored', async (t) => {
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

test('a signal stops a subscription; caughtUp is told each time the end is reached', async (t) => {
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

test('handlers run in the context of subscribe, whoever emits or retries', async (t) => {
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

test('waits for a schema that comes as a stream', async (t) => {
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

test('entries whose key cannot be told are parked', async (t) => {
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

test('members of a group share the keys, and each key has one', async (t) => {
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

test('entries that wait for a key are bounded, and the rest is handled once that key goes on', async (t) => {
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
  assert.deepEqual(calls, [[1, 2], [2, 2]], 'both may have been begun')
})

test('without a handler a loop takes the entries, and says what became of each', async (t) => {
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

test('stats tells how far each subscription is, and what it has parked', async (t) => {
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

test('what the store keeps of a subscription can be changed while it is not at work', async (t) => {
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
  await assert.rejects(consumer.reset(), { code: 'ERR_HYPER_INVALID_ARG', message: /'mails' is at work/ })
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
