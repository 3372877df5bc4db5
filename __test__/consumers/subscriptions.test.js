'use strict'

/** Durable subscriptions: in memory, in a folder, and in a Level database. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { describe, test } = require('node:test')

const { until } = require('../emitter/helpers')
const { STORES, all, make } = require('../emitter/stores')
const { emitAll, numbers, partsOf, warnings } = require('./helpers')

for (const [what, store] of STORES) {
  describe(`subscriptions in ${what}`, () => {
    test('handle stored events and those that follow, in order, and continue where they stopped', async (t) => {
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

    test('a new name starts at the beginning, now, after a change, or after an event', async (t) => {
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
      const now = []
      const fromNow = emitter.subscribe('at once', {}, ({ change }) => { now.push(change) }, { from: 'now' })
      await emitAll(emitter, 6, 7)
      await fromNow.caughtUp()
      assert.deepEqual(now, [6, 7], 'what is appended right after the call is heard')
      const heard = warnings(emitter)
      const wrong = emitter.subscribe('wrong', {}, () => {}, { from: 8 })
      await assert.rejects(wrong.caughtUp())
      await until(() => heard.length > 0)
      assert.match(heard[0].message, /from is 8, but the log ends with change 7/)
    })

    test('a handler that fails is called again, and only its own key waits', async (t) => {
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

    test('an entry that fails at every attempt is parked with the reason, and can be retried or skipped', async (t) => {
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

    test('an entry that waits for its next attempt can be tried immediately, or skipped', async (t) => {
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

    test('attempts are counted across restarts', async (t) => {
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

    test('a handler that does not answer in time has failed, and its signal is aborted', async (t) => {
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

    test('as many keys as concurrency allows are handled at once, each in order', async (t) => {
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

    test('events that a handler appends are stored once, with the checkpoint, after the handler has succeeded', async (t) => {
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

    test('pause begins no further attempts, and stop waits for running handlers', async (t) => {
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

    test('progress past events of other names is stored, without a checkpoint for each', async (t) => {
      const emitter = make(t, store())
      const { consumers: { records } } = partsOf(emitter)
      // Counted where they are made: the store may take one together with an event, in one commit.
      const write = t.mock.method(records, 'write')
      const subscription = emitter.subscribe('mails', { names: 'U' }, () => {}, { checkpoint: { every: 10 } })
      await subscription.caughtUp()
      for (let num = 1; num <= 40; num++) {
        await emitter.append('T', { num })
        await subscription.caughtUp()
      }
      const written = write.mock.calls.map(({ arguments: [, [{ text }]] }) => JSON.parse(text).change)
      assert.ok(written.at(-1) > 30, `the last is at ${written.at(-1)}`)
      assert.ok(written.length <= 5, `${written.length} checkpoints`)
    })

    test('a subscription with nothing to do writes nothing', async (t) => {
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
