'use strict'

/** The one adapter over every kind of Level store, without an emitter. */

const assert = require('node:assert/strict')
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')
const { runInNewContext } = require('node:vm')

const { adaptLevel } = require('../../lib/stores/level/handle')
const { readRange } = require('../../lib/stores/level/range')
const { LevelAdapter: { put, putText, del } } = require('../../lib/stores/level/adapter')
const { all, rocksdb } = require('./shapes')

const BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

function adapted (db) {
  const adapter = adaptLevel(db)
  return {
    get: promisify((keys, limit, done) => adapter.get(keys, limit, done)),
    range: promisify((range, done) => adapter.range(range, done)),
    batch: promisify((ops, done) => adapter.batch(ops, done)),
    close: promisify((done) => adapter.close(done))
  }
}

test('keys and values may be bytes of another realm', async () => {
  const foreign = (text) => runInNewContext(`new Uint8Array([${[...Buffer.from(text)]}])`)
  const rows = [[foreign('a'), foreign('1')], undefined]
  // `range` asks for nothing more of a store than an iterator.
  const iterator = () => ({ next: (done) => done(null, ...(rows.shift() ?? [])), end: (done) => done() })
  const found = await promisify(readRange)({ iterator }, {})
  assert.deepEqual(found, [[Buffer.from('a'), Buffer.from('1')]])
})

const keysOf = (rows) => rows.map(([key]) => String(key))

test('34 kinds of stores are tested, 33 where RocksDB does not run', () => {
  assert.equal(Object.keys(all).length, rocksdb ? 34 : 33)
})

for (const [name, open] of Object.entries(all)) {
  test(`${name}: bytes, ranges and batches`, async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'hyperemitter-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const store = adapted(open(folder))

    assert.deepEqual(await store.get(['!!id', 'b'], Infinity), [undefined, undefined], 'nothing there')
    assert.deepEqual(await store.range({ from: '!', to: '~', reverse: false, limit: 9 }), [])
    await store.batch([put('!!id', Buffer.from('log')), put('!nodes!1', BYTES), put('é', BYTES), put('gone', BYTES), putText('text', 'tëxt')])
    await store.batch([del('gone'), del('never there'), put('!!id', Buffer.from('log-a'))])

    assert.deepEqual(await store.get(['!nodes!1', 'gone', '!!id', '!nodes!1'], Infinity), [BYTES, undefined, Buffer.from('log-a'), BYTES])
    const text = Buffer.from('tëxt')
    assert.deepEqual([await store.get(['text'], 9), await store.range({ from: 'text', to: 'texu', reverse: false, limit: 9 })], [[text], [[Buffer.from('text'), text]]])
    const many = Array.from({ length: 2500 }, (_, i) => `!changes!${String(i).padStart(5, '0')}`)
    await store.batch(many.map((key) => put(key, BYTES.subarray(0, 64))))
    assert.deepEqual(keysOf(await store.range({ from: '!changes!', to: '!changes"', reverse: false, limit: 4096 })), many)
    assert.deepEqual(keysOf(await store.range({ from: '!changes!', to: '!changes"', reverse: true, limit: 2 })), ['!changes!02499', '!changes!02498'])
    assert.deepEqual(await store.range({ from: '!changes!00007', to: '!changes!00009', reverse: false, limit: 9 }),
      ['7', '8'].map((n) => [Buffer.from('!changes!0000' + n), BYTES.subarray(0, 64)]), 'half open')
    assert.deepEqual(await store.range({ from: 'b', to: 'a', reverse: false, limit: 9 }), [])
    assert.equal((await store.get(many, Infinity)).length, 2500)
    const some = await store.get(many, 1000)
    assert.ok(some.length > 0 && some.length < 2500, `${some.length} values when 1000 bytes were wanted`)
    await store.close()
    // Raw memory stores and level-sublevel's sublevels go on as if nothing had happened.
    if (!/raw|level-sublevel/.test(name)) await assert.rejects(store.batch([put('late', BYTES)]), 'a closed store says so')
  })
}

test('a store that is opening is waited for', async () => {
  const db = require('memdown-6')()
  db.open(() => {})
  const store = adapted(db)
  await store.batch([put('a', BYTES)])
  assert.deepEqual(await store.get(['a'], 1), [BYTES])
})

test('methods are looked up when they are called', async () => {
  const db = require('memdb-1')()
  const store = adapted(db)
  await store.batch([put('a', BYTES)])
  db.get = (key, options, callback) => callback(null, Buffer.from('replaced'))
  db.close = (callback) => callback(null)
  assert.deepEqual(await store.get(['a'], 1), [Buffer.from('replaced')])
  await store.close()
  assert.ok(db.isOpen(), 'its own close was not called')
})

test('an object that is no store, or a store that cannot hold bytes, is refused immediately', () => {
  const refused = { name: 'TypeError', code: 'ERR_HYPER_INVALID_ARG' }
  const methods = { get () {}, put () {}, batch () {} }
  for (const db of [5, true, {}, [], () => {}, Symbol('db'), new Map(), methods, { ...methods, get: 1, iterator () {} }]) {
    assert.throws(() => adaptLevel(db), refused)
  }
  for (const version of [1, 2, 3]) {
    const { MemoryLevel } = require(`memory-level-${version}`)
    assert.throws(() => adaptLevel(new MemoryLevel({ storeEncoding: 'utf8' })), { ...refused, message: /bytes/ })
  }
})

test('every failure is reported once, with the store\'s own message', async () => {
  const base = { put () {}, iterator () {} }
  const failing = [
    (callback) => callback(new Error('words')),
    () => { throw new Error('words') },
    () => Promise.reject(new Error('words')),
    (callback) => { callback(new Error('words')); return Promise.reject(new Error('again')) },
    (callback) => { setImmediate(callback, new Error('words')); setImmediate(callback, new Error('twice')) }
  ]
  for (const fail of failing) {
    const db = { ...base, get: (key, options, callback) => fail(callback), batch: (ops, options, callback) => fail(callback), iterator: () => ({ next: fail, end: (callback) => callback() }) }
    const store = adapted(db)
    await assert.rejects(store.get(['a', 'b', 'c'], 1), { message: 'words' })
    await assert.rejects(store.batch([put('a', BYTES)]), { message: 'words' })
    await assert.rejects(store.range({ from: 'a', to: 'b', reverse: false, limit: 1 }), { message: 'words' })
  }
})

test('every way of saying "not found" is understood', async () => {
  const ways = [
    (callback) => callback(null, undefined),
    (callback) => callback(Object.assign(new Error('x'), { notFound: true })),
    (callback) => callback(Object.assign(new Error('x'), { code: 'LEVEL_NOT_FOUND' })),
    (callback) => callback(Object.assign(new Error('x'), { status: 404 })),
    (callback) => callback(new Error('NotFound')),
    async () => undefined,
    async () => { throw Object.assign(new Error('x'), { code: 'LEVEL_NOT_FOUND' }) }
  ]
  for (const way of ways) {
    const db = { put () {}, batch () {}, iterator () {}, get: (key, options, callback) => way(callback) }
    assert.deepEqual(await adapted(db).get(['a'], 1), [undefined])
  }
})

test('a store that answers synchronously is read without recursion', async () => {
  let left = 50_000
  const iterator = () => ({ next: (callback) => left-- > 0 ? callback(null, 'key', BYTES) : callback(null), end: (callback) => callback() })
  const db = { put () {}, batch () {}, get () {}, iterator }
  assert.equal((await adapted(db).range({ from: 'a', to: 'z', reverse: false, limit: 100_000 })).length, 50_000)
})
