'use strict'

/** What can go wrong with projections, and options that are refused. */

const assert = require('node:assert/strict')
const { serialize } = require('node:v8')
const { once } = require('node:events')
const { describe, test } = require('node:test')
const { Worker } = require('node:worker_threads')

const { HyperEmitter, SCHEMA, ENTRY, child, folder, hear, until } = require('../emitter/helpers')
const { make } = require('../emitter/stores')
const { partsOf, warnings } = require('../consumers/helpers')
const States = require('../../lib/projections/states')
const { STORES, SUMS, emitNumbers, entriesOf, keptKeys, keptOf, settled } = require('./helpers')

for (const [what, keeps, store] of STORES) {
  describe(`failures of projections in ${what}`, () => {
    test('a reducer that throws stops its projection at that event, and nothing else', async (t) => {
      const emitter = make(t, store()())
      const heard = hear(emitter, 'T', 6)
      const broken = { ...SUMS, on: { T (state, payload) { if (payload.num === 4) throw new RangeError('no four'); return SUMS.on.T(state, payload) } } }
      let sums = emitter.project('sums', broken)
      const errors = []
      sums.on('error', (error) => errors.push(error))
      const other = emitter.project('other', SUMS)
      for (let num = 1; num <= 6; num++) await emitter.append('T', { num, foo: num % 2 ? 'odd' : 'even' }, { tags: [`of:${num}`] })
      await assert.rejects(sums.caughtUp(), { code: 'ERR_HYPER_PROJECTION' })
      await other.caughtUp()
      assert.equal((await heard).length, 6)
      assert.deepEqual((await other.get('even')).count, 3)

      const [{ code, message, change, event, cursor, cause }] = errors
      assert.equal(errors.length, 1)
      assert.deepEqual([code, change, event, cause.message], ['ERR_HYPER_PROJECTION', 4, 'T', 'no four'])
      assert.match(message, /projection 'sums', version 1, has stopped at change 4, event 'T': no four/)
      let fourth
      for await (const entry of emitter.read({ tags: 'of:4' })) fourth = entry.cursor
      assert.equal(cursor, fourth)
      const { state, error, change: reached, behind } = sums.stats()
      assert.deepEqual([state, error, reached, behind], ['failed', errors[0], 3, 3])
      assert.deepEqual((await emitter.stats()).projections.map(({ name, state, fault }) => [name, state, fault]), [['other', 'live', undefined], ['sums', 'failed', message]])
      assert.deepEqual(await entriesOf(sums), { odd: { count: 2, sum: 4 }, even: { count: 1, sum: 2 } }, 'the states before that event')

      await sums.stop()
      sums = emitter.project('sums', SUMS)
      await sums.caughtUp()
      assert.deepEqual(await entriesOf(sums), { odd: { count: 3, sum: 9 }, even: { count: 3, sum: 12 } })
    })

    test('other failures at an event are reported in the same way, and as a warning if nobody listens to error', async (t) => {
      const emitter = make(t, store()(), { upcast: { U () { throw new Error('cannot upcast') } } })
      const heard = warnings(emitter)
      await emitter.append('T', { num: 1 })
      await emitter.append('T', { num: 2 })
      await emitter.append('U', { id: 3 })
      const broken = async (name, definition, message, change) => {
        const projection = emitter.project(name, { init: 0, on: { T: (state) => state }, ...definition })
        await assert.rejects(projection.caughtUp(), (error) => {
          assert.match(error.message, message)
          assert.deepEqual([error.code, error.change, typeof error.cursor], ['ERR_HYPER_PROJECTION', change, 'string'])
          assert.ok(heard.includes(error))
          return true
        })
        assert.ok(projection.stats().change < change)
      }
      await broken('key throws', { key: ({ payload }) => payload.none.none }, /has stopped at change 1, event 'T': Cannot read/, 1)
      await broken('key is no text', { key: () => ({}) }, /a key must be a text or a number, not object/, 1)
      await broken('key is half a character', { key: () => '\ud800' }, /a key must be a text/, 1)
      await broken('key is too long', { key: ({ payload }) => payload.num === 1 ? 1 : 'ü'.repeat(600) }, /a key has more than 1024 bytes/, 2)
      await broken('too many keys', { key: ({ payload }) => Array(1023 + payload.num).fill('x') }, /an event has 1025 keys, the limit is 1024/, 2)
      await broken('one of several keys throws', { key: ({ payload }) => ['a', payload.num], on: { T (state, payload, { change }) { if (change === 2) throw new Error('second'); return state + 1 } } }, /second/, 2)
      await broken('init throws', { init () { throw new Error('no first state') } }, /no first state/, 1)
      await broken('async', { on: { T: async (state) => state } }, /must return the state, not a promise/, 1)
      await broken('does not decode', { on: { U: (state) => state } }, /cannot upcast/, 3)
      await broken('throws nothing', { on: { T () { throw undefined } } }, /undefined/, 1) // eslint-disable-line no-throw-literal
    })

    test('with several keys, a reducer that throws changes none of them', async (t) => {
      const emitter = make(t, store()())
      const projection = emitter.project('some', {
        init: 0,
        key: () => ['a', 'b'],
        on: { T (state, { num }) { if (num === 2 && calls++ === 1) throw new Error('at b'); return state + 1 } }
      })
      let calls = 0
      for (const num of [1, 2]) await emitter.append('T', { num })
      await assert.rejects(projection.caughtUp(), /at b/)
      assert.deepEqual(await entriesOf(projection), { a: 1, b: 1 })
    })

    if (!keeps) return

    test('a state that cannot be stored stops the projection, with an error that names the event before it', async (t) => {
      const emitter = make(t, store()())
      const definition = (state) => ({ init: null, key: ({ payload }) => payload.foo, on: { T: (before, { num }) => num === 2 ? state : num } })
      for (const num of [1, 2, 3]) await emitter.append('T', { num, foo: `key ${num}` })
      const refused = async (name, state, message) => {
        const projection = emitter.project(name, definition(state))
        const [error] = await once(projection, 'error')
        assert.match(error.message, message)
        assert.deepEqual([error.code, error.change, error.event, typeof error.cursor], ['ERR_HYPER_PROJECTION', 2, 'T', 'string'])
        assert.equal(projection.stats().state, 'failed')
        assert.equal(await projection.get('key 3'), 3)
        await projection.stop()
        const [stored] = await keptOf(emitter).get([`r!${name}`])
        assert.equal(stored, undefined, 'nothing of it is stored')
      }
      await refused('function', { fn () {} }, /the state of key 'key 2' after change 2, event 'T', cannot be stored \(.*could not be cloned/s)
      await refused('large', 'x'.repeat(16 * 1024 * 1024 + 1), /is 1677\d{4} bytes, the limit is 16777216/)
    })

    test('damaged states are derived again', async (t) => {
      const open = store()
      let emitter = make(t, open())
      await emitNumbers(emitter, 1, 10)
      await emitter.project('sums', SUMS).caughtUp()
      await emitter.close()

      emitter = make(t, open())
      const heard = warnings(emitter)
      const damage = async (change) => {
        for (const key of await keptKeys(emitter)) {
          if (!key.endsWith('odd')) continue
          const [value] = await keptOf(emitter).get([key])
          await setRaw(emitter, key, change(value))
        }
      }
      await damage((value) => [0, 0, 0, 0, ...value])
      let sums = emitter.project('sums', SUMS)
      // Nobody notices before the state is needed.
      assert.deepEqual(await sums.get('even'), { count: 5, sum: 30 })
      await assert.rejects(sums.get('odd'), { code: 'ERR_HYPER_DAMAGED', message: /its checksum is wrong/ })
      await until(() => heard.length > 0)
      assert.equal(heard[0].code, 'ERR_HYPER_REPAIRED')
      await sums.caughtUp()
      assert.deepEqual(await entriesOf(sums), { odd: { count: 5, sum: 25 }, even: { count: 5, sum: 30 } })
      assert.deepEqual(await settled(emitter, 'sums'), ['even', 'odd'])
      await sums.stop()

      await damage(() => [])
      await emitNumbers(emitter, 11, 11)
      sums = emitter.project('sums', SUMS)
      await sums.caughtUp()
      assert.deepEqual(await sums.get('odd'), { count: 6, sum: 36 }, 'noticed by the reducer')
      assert.equal(heard.length, 2)
    })

    test('no bytes in the store can end the process', async (t) => {
      const emitter = make(t, store()())
      await emitNumbers(emitter, 1, 10)
      const state = { text: 'abc', list: [1, 2, 3], map: new Map([[1, { a: Buffer.from('xyz') }]]), date: new Date(0), big: 1n << 64n }
      const definition = { init: null, on: { T: () => state } }
      await emitter.project('one', definition).caughtUp()
      await partsOf(emitter).projections.live.get('one').stop()
      const [key] = await keptKeys(emitter)
      const good = serialize(state)
      let seed = 7
      const random = (below) => {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
        return Math.floor(seed / 2 ** 32 * below)
      }
      for (let round = 0; round < 200; round++) {
        const bytes = Buffer.from(good.subarray(0, random(10) === 0 ? random(good.length) : good.length))
        for (let changes = random(4); changes > 0 && bytes.length > 0; changes--) bytes[random(bytes.length)] = random(256)
        await keptOf(emitter).set([[key, bytes]])
        const { states } = await read(emitter)
        await states.get('').catch((error) => assert.equal(error.code, 'ERR_HYPER_DAMAGED'))
      }
    })

    test('a record of another version, or of another log, is not used', async (t) => {
      const emitter = make(t, store()())
      await emitNumbers(emitter, 1, 10)
      const heard = warnings(emitter)
      await emitter.project('sums', SUMS).caughtUp()
      await partsOf(emitter).projections.live.get('sums').stop()
      const [good] = await keptOf(emitter).get(['r!sums'])
      const record = JSON.parse(good)
      const records = [
        '', '[]', 'null', '{"format":2}', { ...record, format: 2 }, { ...record, gone: ['../x'] }, { ...record, gone: undefined }, { ...record, live: 7 },
        ...[{ id: 'x' }, { change: -1 }, { change: 1e300 }, { keys: 'x' }, { version: null }, { at: 7 }].map((wrong) => ({ ...record, live: { ...record.live, ...wrong } })),
        // Of another log.
        { ...record, live: { ...record.live, at: '0'.repeat(64) } }, { ...record, live: { ...record.live, at: null } }, { ...record, live: { ...record.live, change: 11 } }
      ]
      for (const wrong of [undefined, ...records]) {
        heard.length = 0
        if (wrong === undefined) await setRaw(emitter, 'r!sums', [1, 2, 3])
        else await keptOf(emitter).set([['r!sums', Buffer.from(typeof wrong === 'string' ? wrong : JSON.stringify(wrong))]])
        const told = (await emitter.stats()).projections[0]
        const sums = emitter.project('sums', SUMS)
        await sums.caughtUp()
        assert.deepEqual(await sums.get('odd'), { count: 5, sum: 25 })
        assert.deepEqual(heard.map(({ code }) => code), ['ERR_HYPER_REPAIRED'], JSON.stringify(wrong))
        assert.equal(told.name, 'sums')
        await sums.stop()
      }
      await setRaw(emitter, 'r!sums', [])
      await emitter.projection('sums').remove()
      assert.deepEqual((await emitter.stats()).projections, [])
    })
  })
}

/** Stores bytes that need not be what a projection writes. */
function setRaw (emitter, key, bytes) {
  const head = Buffer.alloc(4)
  const length = Buffer.alloc(4)
  head.writeUInt32LE(Buffer.byteLength(key))
  length.writeUInt32LE(bytes.length)
  const { core, requests } = keptOf(emitter)
  return new Promise((resolve, reject) => {
    requests.ask((id) => core.setDerived(id, Buffer.concat([head, Buffer.from(key), length, Buffer.from(bytes)])), (error) => error ? reject(error) : resolve())
  })
}

/** The states of projection `one`, as a new start would read them. */
async function read (emitter) {
  const [record] = await keptOf(emitter).get(['r!one'])
  return { states: new States('one', JSON.parse(record).live, keptOf(emitter)) }
}

test('an invalid definition is refused by the call', async (t) => {
  const emitter = make(t)
  const on = { T: (state) => state }
  const good = { init: 0, on }
  const refused = (name, definition, message) => assert.throws(() => emitter.project(name, definition), (error) => {
    assert.ok(error instanceof TypeError)
    assert.equal(error.code, 'ERR_HYPER_INVALID_ARG')
    assert.match(error.message, message)
    return true
  })
  refused('', good, /its name must be a text/)
  refused(7, good, /its name must be a text/)
  refused('\ud800', good, /its name must be a text/)
  refused('ü'.repeat(129), good, /more than 256 bytes/)
  refused('a', undefined, /must be an object/)
  refused('a', null, /must be an object/)
  refused('a', { ...good, version: -1 }, /version must be a whole number/)
  refused('a', { ...good, version: '1' }, /version must be a whole number/)
  refused('a', { ...good, query: 'T' }, /query must be an object/)
  refused('a', { ...good, query: { names: 7 } }, /query: names, tags and items must be lists/)
  refused('a', { init: 0 }, /on must be an object/)
  refused('a', { init: 0, on: {} }, /on must be an object/)
  refused('a', { init: 0, on: { T: 7 } }, /on\.T must be a function/)
  refused('a', { on }, /init must be the first state/)
  refused('a', { on, init: { fn () {} } }, /init cannot be copied/)
  refused('a', { ...good, key: 'x' }, /key must be a function/)
  refused('a', { ...good, store: 'disk' }, /store must be 'kept' or 'memory'/)
  refused('a', { ...good, verson: 2 }, /verson/)
  refused('a', { ...good, query: { name: 'T' } }, /query of projection 'a'.*name/)
  refused('a', { ...good, snapshot: 7 }, /snapshot must be \{ every, within \}/)
  refused('a', { ...good, snapshot: { every: 0 } }, /snapshot\.every must be a whole number from 1 to 1048576, not 0/)
  refused('a', { ...good, snapshot: { within: 2 ** 31 } }, /snapshot\.within must be a whole number from 1 to 2147483647/)
  const keyed = emitter.project('a', { ...good, key: () => 'x' })
  await assert.rejects(keyed.get(), /a key must be a text or a number, not undefined/)
  assert.throws(() => emitter.project('a', good), { code: 'ERR_HYPER_INVALID_ARG', message: /already running in this emitter/ })
  assert.throws(() => emitter.projection(''), /its name must be a text/)
})

test('a first state that is not a function is copied for each key', async (t) => {
  const emitter = make(t)
  await emitNumbers(emitter, 1, 4)
  const lists = emitter.project('lists', { init: [], key: SUMS.key, on: { T (list, { num }) { list.push(num); return list } } })
  await lists.caughtUp()
  assert.deepEqual(await entriesOf(lists), { odd: [1, 3], even: [2, 4] })
})

test('if there are more states than memory may hold, they are read from the store when they are needed', async (t) => {
  const emitter = make(t, folder())
  const COUNT = 70_000
  const definition = { init: 0, key: ({ payload }) => payload.num % COUNT, on: { T: (state, { num }) => state + num } }
  for (let num = 0; num < COUNT; num++) emitter.emit('T', { num })
  let many = emitter.project('many', definition)
  await many.caughtUp(await emitter.append('T', { num: COUNT + 1 }))
  assert.equal(many.stats().keys, COUNT)
  await many.stop()
  many = emitter.project('many', definition)
  for (const key of [0, 1, 2, COUNT - 1]) assert.equal(await many.get(key), key === 1 ? COUNT + 2 : key)
  let sum = 0
  let keys = 0
  for await (const [, state] of many.entries()) {
    sum += state
    keys++
  }
  assert.deepEqual([keys, sum], [COUNT, COUNT * (COUNT - 1) / 2 + COUNT + 1])
  // All of them again.
  for (let num = 0; num < COUNT; num++) emitter.emit('T', { num: num + COUNT })
  await emitter.append('T', { num: 0 })
  await many.caughtUp()
  for (const key of [0, 1, 2, COUNT - 1]) assert.equal(await many.get(key), 2 * key + COUNT + (key === 1 ? COUNT + 1 : 0))
})

test('the number and bytes of stored states in memory are bounded', async () => {
  const stored = new Map()
  const kept = {
    async get (keys) {
      return keys.map((key) => stored.get(key))
    }
  }
  const states = new States('some', { id: '0'.repeat(16), version: 1, change: 0, keys: 0 }, kept)
  const by = { cursor: 'a', name: 'T', change: 1 }
  const store = () => {
    const { values, stored: done } = states.snapshot()
    for (const [key, value] of values) stored.set(key, value)
    done()
  }
  for (let key = 0; key < 70_000; key++) states.set(String(key), states.find(String(key)), key, by, 1)
  assert.equal(states.cached.size, 70_000, 'what is not stored yet stays')
  store()
  assert.equal(states.cached.size, 57_344)
  assert.equal(await states.get('0'), 0)
  assert.equal(await states.get('69999'), 69_999)
  assert.equal(await states.get('70000'), undefined)
  assert.ok(states.cached.size <= 65_536)

  const large = 'x'.repeat(1024 * 1024)
  for (let key = 0; key < 40; key++) {
    states.set(`large ${key}`, (await states.load([`large ${key}`])).get(`large ${key}`), large, by, large.length)
    store()
  }
  assert.ok(states.bytes <= 32 * 1024 * 1024, `${states.bytes} bytes`)
  assert.equal([...states.cached.values()].reduce((sum, { size }) => sum + size, 0), states.bytes)
  assert.equal((await states.get('large 0')).length, large.length)
  assert.equal(states.keys, 70_040)
})

test('projections work in a worker, and do not keep a process alive', async (t) => {
  const work = `
    const emitter = new HyperEmitter(DB, SCHEMA)
    const counts = emitter.project('counts', { init: 0, on: { T: (count) => count + 1 } })
    emitter.append('T', { num: 1 }).then((node) => counts.caughtUp(node)).then(() => counts.get()).then(TELL)
  `
  const head = (db) => `const HyperEmitter = require(${JSON.stringify(ENTRY)}); const SCHEMA = ${JSON.stringify(SCHEMA)}; const DB = ${JSON.stringify(db)};`
  const db = folder()
  const { code, stdout, stderr } = await child(head(db).replace(/const HyperEmitter.*?const DB/, 'const DB') + work.replace('TELL', 'console.log'))
  assert.deepEqual([code, stdout, stderr], [0, '1\n', ''])
  const emitter = new HyperEmitter(db, SCHEMA)
  assert.deepEqual((await emitter.stats()).projections.map(({ name, change }) => [name, change]), [['counts', 1]], 'it was stored before the process ended')
  await emitter.close()
  const worker = new Worker(head(db) + work.replace('TELL', "async (count) => { await emitter.close(); require('node:worker_threads').parentPort.postMessage(count) }"), { eval: true })
  assert.deepEqual(await once(worker, 'message'), [2], 'it goes on in another thread')
  await once(worker, 'exit')
})
