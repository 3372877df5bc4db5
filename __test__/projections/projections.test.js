'use strict'

/** Projections: in memory, in a folder, and in a Level database. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { describe, test } = require('node:test')

const { until } = require('../emitter/helpers')
const { make } = require('../emitter/stores')
const { numbers, partsOf, warnings } = require('../consumers/helpers')
const { STORES, SUMS, emitNumbers, entriesOf, holdRows, keptKeys, keptOf, settled } = require('./helpers')

for (const [what, keeps, store] of STORES) {
  describe(`projections in ${what}`, () => {
    test('have a state per key, derived from stored events and those that follow', async (t) => {
      const emitter = make(t, store()())
      await emitNumbers(emitter, 1, 10)
      const sums = emitter.project('sums', SUMS)
      await sums.caughtUp()
      assert.deepEqual(await sums.get('odd'), { count: 5, sum: 25 })
      const last = await emitNumbers(emitter, 11, 13)
      await sums.caughtUp(last)
      assert.deepEqual(await sums.get('odd'), { count: 7, sum: 49 })
      assert.equal(await sums.get('none'), undefined)
      assert.deepEqual(await entriesOf(sums), { odd: { count: 7, sum: 49 }, even: { count: 6, sum: 42 } })
      assert.deepEqual(sums.stats(), { name: 'sums', version: 1, answers: 1, state: 'live', change: 13, behind: 0, keys: 2 })
      assert.deepEqual([sums.name, sums.version], ['sums', 1])
    })

    test('have one state without a key, which is the first state before the first event', async (t) => {
      const emitter = make(t, store()())
      const largest = emitter.project('largest', { version: 7, init: { num: 0 }, on: { T: (state, { num }) => num > state.num ? { num } : state } })
      assert.deepEqual(await largest.get(), { num: 0 })
      for (const num of [3, 9, 5]) await emitter.append('T', { num })
      await largest.caughtUp()
      assert.deepEqual(await largest.get(), { num: 9 })
      assert.deepEqual(await entriesOf(largest), { '': { num: 9 } })
      await assert.rejects(largest.get('x'), /has one state/)
    })

    test('take several keys, none, and numbers from `key`, and forget keys whose state becomes undefined', async (t) => {
      const open = store()
      let emitter = make(t, open())
      const definition = {
        query: { names: ['T', 'U'] },
        init: 0,
        key: ({ name, payload: { num, id } }) => name === 'U' ? id : num < 0 ? undefined : [num, num % 2 ? 'odd' : 'even', num],
        on: { T: (count) => count + 1, U: () => undefined }
      }
      let counts = emitter.project('counts', definition)
      for (const num of [1, 2, -3, 1]) await emitter.append('T', { num })
      await emitter.append('U', { id: 2 })
      await counts.caughtUp()
      const expected = { 1: 2, odd: 2, even: 1 }
      assert.deepEqual(await entriesOf(counts), expected)
      assert.equal(await counts.get(1), 2)
      assert.equal(counts.stats().keys, 3)
      await emitter.close()
      if (!keeps) return
      emitter = make(t, open())
      counts = emitter.project('counts', definition)
      await counts.caughtUp()
      assert.deepEqual([await entriesOf(counts), counts.stats().keys], [expected, 3])
    })

    test('apply only events that their query matches, or without a query, events that have a reducer', async (t) => {
      const emitter = make(t, store()())
      await emitter.append('T', { num: 1 }, { tags: ['a'] })
      await emitter.append('T', { num: 2 })
      await emitter.append('U', { id: 4 }, { tags: ['a'] })
      await emitter.append('U', { id: 8 })
      const on = { T: (sum, { num }) => sum + num }
      const both = { ...on, U: (sum, { id }) => sum + id }
      const sum = async (name, definition) => {
        const projection = emitter.project(name, { init: 0, ...definition })
        await projection.caughtUp()
        assert.equal(projection.stats().change, 4, 'the end of the log, whatever it wants')
        return projection.get()
      }
      assert.equal(await sum('T', { on }), 3)
      assert.equal(await sum('both', { on: both }), 15)
      assert.equal(await sum('tagged', { on: both, query: { tags: 'a' } }), 5)
      assert.equal(await sum('tagged T', { on, query: { tags: 'a' } }), 1)
      assert.equal(await sum('items', { on: both, query: { query: [{ names: ['T'], tags: ['a'] }, { names: ['U'] }] } }), 13)
    })

    test('reducers get payload and entry, in the order of the log, in the context of `project`', async (t) => {
      const { AsyncLocalStorage } = require('node:async_hooks')
      const storage = new AsyncLocalStorage()
      const emitter = make(t, store()(), { upcast: { T: ({ num, ...rest }) => ({ ...rest, num: num * 10 }) } })
      const calls = []
      const projection = storage.run('mine', () => emitter.project('calls', {
        init: () => 0,
        on: {
          T (state, { num }, { change, name, tags }) {
            calls.push([state, num, change, name, tags, storage.getStore()])
            return state + 1
          }
        }
      }))
      for (const num of [1, 2, 3]) await emitter.append('T', { num }, { tags: [`number ${num}`] })
      await projection.caughtUp()
      assert.deepEqual(calls, [1, 2, 3].map((num) => [num - 1, 10 * num, num, 'T', [`number ${num}`], 'mine']))
    })

    test(keeps ? 'continue where they were, and read no event again that is in the states' : 'are derived again when the emitter is made', async (t) => {
      const open = store()
      let emitter = make(t, open())
      await emitNumbers(emitter, 1, 1000)
      let calls = 0
      const on = {
        T (state, payload) {
          calls++
          return SUMS.on.T(state, payload)
        }
      }
      await emitter.project('sums', { ...SUMS, on }).caughtUp()
      assert.equal(calls, 1000)
      await emitter.close()
      if (!keeps) return
      emitter = make(t, open())
      await emitNumbers(emitter, 1001, 1010)
      const sums = emitter.project('sums', { ...SUMS, on })
      await sums.caughtUp()
      assert.equal(calls, 1010)
      assert.deepEqual(await entriesOf(sums), { odd: { count: 505, sum: 255_025 }, even: { count: 505, sum: 255_530 } })
      await sums.stop()
      assert.equal(sums.stats().state, 'stopped')
      await assert.rejects(sums.get('odd'), { code: 'ERR_HYPER_CLOSED' })
      await assert.rejects(sums.caughtUp(), { code: 'ERR_HYPER_CLOSED' })
      assert.deepEqual(await entriesOf(emitter.project('sums', { ...SUMS, on })), { odd: { count: 505, sum: 255_025 }, even: { count: 505, sum: 255_530 } })
      assert.equal(calls, 1010)
    })

    test('events of other emitters are applied, too, and projections are not replicated', async (t) => {
      const one = make(t, store()())
      const two = make(t, store()())
      const { port } = await one.listen(0, '127.0.0.1')
      await two.connect(port, '127.0.0.1')
      const sums = two.project('sums', SUMS)
      const last = await emitNumbers(one, 1, 20)
      await sums.caughtUp(last)
      assert.deepEqual(await sums.get('odd'), { count: 10, sum: 100 })
      await sums.stop()
      assert.equal(await one.digest(), await two.digest())
      assert.deepEqual((await one.stats()).projections, [])
    })

    test('close with their emitter, at any time', async (t) => {
      const open = store()
      for (const turns of numbers(0, 12)) {
        const emitter = make(t, open())
        await emitNumbers(emitter, 1, 50)
        const projection = emitter.project('sums', SUMS)
        const waiting = projection.caughtUp()
        waiting.catch(() => {})
        for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
        await emitter.close()
        await assert.rejects(projection.get('odd'), { code: 'ERR_HYPER_CLOSED' })
        assert.throws(() => emitter.project('more', SUMS), { code: 'ERR_HYPER_CLOSED' })
      }
      if (!keeps) return
      const emitter = make(t, open())
      const projection = emitter.project('sums', SUMS)
      await projection.caughtUp()
      assert.equal((await projection.get('odd')).count, 13 * 25)
    })

    if (!keeps) return

    test('a new version is derived beside the old one, which answers until the new one is complete and is then deleted', async (t) => {
      const emitter = make(t, store()())
      await emitNumbers(emitter, 1, 100)
      await emitter.project('sums', SUMS).caughtUp()
      await partsOf(emitter).projections.live.get('sums').stop()
      await emitNumbers(emitter, 101, 110)

      const rows = holdRows(t, emitter)
      const counts = emitter.project('sums', { ...SUMS, version: 2, init: 0, on: { T: (count) => count + 1 } })
      const live = once(counts, 'live')
      const waiting = counts.caughtUp()
      assert.deepEqual(await counts.get('odd'), { count: 50, sum: 2500 })
      assert.equal((await entriesOf(counts)).even.count, 50)
      assert.deepEqual(counts.stats(), { name: 'sums', version: 2, answers: 1, state: 'building', change: 0, behind: 110, keys: 0 })
      rows.release()
      await waiting
      assert.deepEqual(await live, [2])
      assert.deepEqual(await entriesOf(counts), { odd: 55, even: 55 })
      assert.deepEqual([counts.stats().answers, counts.stats().state], [2, 'live'])
      await counts.stop()
      // If it was interrupted by that, it goes on now.
      const again = emitter.project('sums', { ...SUMS, version: 2, init: 0, on: { T: (count) => count + 1 } })
      assert.deepEqual(await settled(emitter, 'sums'), ['even', 'odd'])
      assert.deepEqual(await entriesOf(again), { odd: 55, even: 55 })
    })

    test('an incomplete version is continued, unless another one replaces it', async (t) => {
      const open = store()
      let emitter = make(t, open())
      await emitNumbers(emitter, 1, 5000)
      let calls = 0
      const definition = (version, fails) => ({
        ...SUMS,
        version,
        on: {
          T (state, payload) {
            calls++
            if (fails && payload.num === 4900) throw new Error('not yet')
            return SUMS.on.T(state, payload)
          }
        }
      })
      const first = emitter.project('sums', definition(1, false))
      await first.caughtUp()
      await first.stop()
      const second = emitter.project('sums', definition(2, false))
      // A snapshot of the first half.
      const rows = holdRows(t, emitter)
      await second.get('odd')
      const { fetch } = partsOf(emitter).rows
      let batches = 0
      t.mock.method(partsOf(emitter).rows, 'fetch', (...args) => { if (++batches <= 2) fetch(...args) })
      rows.release()
      await until(() => second.stats().change >= 1000)
      await second.stop()
      const half = second.stats().change
      assert.ok(half < 5000)
      await emitter.close()

      emitter = make(t, open())
      calls = 0
      const again = emitter.project('sums', definition(2, false))
      await again.caughtUp()
      assert.equal(calls, 5000 - half)
      await again.stop()
      const back = emitter.project('sums', definition(1, false))
      await back.caughtUp()
      assert.deepEqual(await settled(emitter, 'sums'), ['even', 'odd'])
    })

    test('a changed definition without a new version is refused', async (t) => {
      const emitter = make(t, store()())
      await emitNumbers(emitter, 1, 5)
      await emitter.project('sums', SUMS).caughtUp()
      await partsOf(emitter).projections.live.get('sums').stop()
      for (const change of [{ query: { names: 'T', tags: 'x' } }, { on: { ...SUMS.on, U: (state) => state } }, { key: undefined }]) {
        const changed = emitter.project('sums', { ...SUMS, ...change })
        const [error] = await once(changed, 'error')
        assert.equal(error.code, 'ERR_HYPER_PROJECTION')
        assert.match(error.message, /version 1 was derived with another query.*give the new definition another version/)
        assert.deepEqual([changed.stats().state, changed.stats().error], ['failed', error])
        await assert.rejects(changed.get(...'key' in change ? [] : ['odd']), error)
        await assert.rejects(changed.caughtUp(), error)
        await changed.stop()
      }
      const same = emitter.project('sums', { ...SUMS, query: { names: ['T'] } })
      assert.deepEqual(await same.get('odd'), { count: 3, sum: 9 })
    })

    test('stored states are read back unchanged', async (t) => {
      const open = store()
      let emitter = make(t, open())
      const shared = { a: 1 }
      const state = {
        date: new Date(7),
        map: new Map([[1, new Set(['x'])]]),
        big: 2n ** 70n,
        bytes: Buffer.from([0, 255]),
        numbers: [NaN, -0, Infinity],
        none: undefined,
        shared: [shared, shared],
        text: '\0ü\u{1F600}'
      }
      const definition = { init: null, key: ({ payload }) => payload.foo, on: { T: () => state } }
      const keys = ['', 'a!b', 'ü\u{1F600}', '\0', 'x'.repeat(1024)]
      for (const foo of keys) await emitter.append('T', { num: 1, foo })
      await emitter.project('all', definition).caughtUp()
      await emitter.close()
      emitter = make(t, open())
      const all = emitter.project('all', definition)
      const found = await entriesOf(all)
      assert.deepEqual(Object.keys(found).sort(), [...keys].sort())
      for (const key of keys) {
        const { shared: [one, two], ...rest } = await all.get(key)
        assert.equal(one, two)
        assert.deepEqual({ ...rest, shared: [one, two] }, state)
      }
    })

    test('changed states are stored in groups, each key once, and do not grow the log', async (t) => {
      const open = store()
      let emitter = make(t, open())
      await emitNumbers(emitter, 1, 3000)
      // Closing stores what else is due, as the schema.
      await emitter.close()
      emitter = make(t, open())
      const before = await emitter.stats()
      const set = t.mock.method(keptOf(emitter), 'set')
      const sums = emitter.project('sums', SUMS)
      await sums.caughtUp()
      await sums.stop()
      const stored = set.mock.calls.map(({ arguments: [values] }) => values.map(([key]) => key.replace(/![0-9a-f]{16}!/, ' ')).sort())
      assert.ok(stored.length <= 3, `${stored.length} writes`)
      assert.deepEqual(stored[0], ['r!sums', 's even', 's odd'])
      assert.deepEqual(stored.slice(1).flat().filter((key) => key.startsWith('s')), [], 'nothing has changed since')
      const after = await emitter.stats()
      assert.deepEqual([after.change, after.commits, after.sizes.data], [before.change, before.commits, before.sizes.data])
    })

    test('no state is lost while the store cannot be written to', async (t) => {
      const emitter = make(t, store()())
      const heard = warnings(emitter)
      await emitNumbers(emitter, 1, 10)
      const full = t.mock.method(keptOf(emitter), 'set', () => Promise.reject(Object.assign(new Error('full'), { code: 'ERR_HYPER_NO_SPACE' })))
      let sums = emitter.project('sums', SUMS)
      await sums.caughtUp()
      await until(() => heard.length > 0)
      assert.equal(heard[0].message, 'full')
      assert.deepEqual((await sums.get('odd')).count, 5, 'it goes on')
      full.mock.restore()
      await sums.stop()
      sums = emitter.project('sums', SUMS)
      assert.deepEqual(await entriesOf(sums), { odd: { count: 5, sum: 25 }, even: { count: 5, sum: 30 } })
    })

    test('stats reports the progress of each projection, and remove deletes its stored states', async (t) => {
      const open = store()
      let emitter = make(t, open())
      await emitNumbers(emitter, 1, 10)
      for (const name of ['sums', 'Zahl\u{1F600}']) await emitter.project(name, { ...SUMS, version: 3 }).caughtUp()
      assert.throws(() => emitter.project('sums', SUMS), /already running in this emitter/)
      await assert.rejects(emitter.projection('sums').remove(), /already running in this emitter/)
      await emitter.close()
      emitter = make(t, open())
      await emitNumbers(emitter, 11, 15)
      const of = (name) => ({ name, version: 3, answers: 3, state: 'stopped', change: 10, behind: 5, keys: 2 })
      assert.deepEqual((await emitter.stats()).projections, [of('Zahl\u{1F600}'), of('sums')])
      await emitter.projection('sums').remove()
      assert.deepEqual((await emitter.stats()).projections, [of('Zahl\u{1F600}')])
      assert.equal((await keptKeys(emitter)).length, 2)
      await assert.rejects(emitter.projection('sums').remove(), { code: 'ERR_HYPER_NOT_FOUND' })
      let calls = 0
      const sums = emitter.project('sums', { ...SUMS, version: 3, on: { T: (state, payload) => { calls++; return SUMS.on.T(state, payload) } } })
      await sums.caughtUp()
      assert.equal(calls, 15, 'it is derived anew')
    })

    test('with store: memory, nothing is kept', async (t) => {
      const emitter = make(t, store()())
      await emitNumbers(emitter, 1, 10)
      const sums = emitter.project('sums', { ...SUMS, store: 'memory', init: () => ({ count: 0, sum: 0, print () {} }) })
      await sums.caughtUp()
      assert.equal((await sums.get('odd')).count, 5)
      await sums.stop()
      assert.deepEqual([await keptKeys(emitter), (await emitter.stats()).projections], [[], []])
    })
  })
}
