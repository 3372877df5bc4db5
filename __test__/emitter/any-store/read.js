'use strict'

/** Stored events as an async iterable, and positions in them. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { settled, turns } = require('../helpers')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ make }) {
  test('an acknowledged event can be read immediately', async (t) => {
    const emitter = await make(t)
    for (let num = 1; num <= 200; num++) {
      const { change } = await emitter.append('T', { num })
      const { value } = await emitter.read({ since: change - 1 }).next()
      assert.equal(value?.payload.num, num)
      assert.ok((await emitter.stats()).change >= change)
    }
  })

  test('read returns stored events in both directions and within bounds', async (t) => {
    const emitter = await make(t)
    const before = Date.now()
    const nodes = []
    for (let i = 1; i <= 20; i++) nodes.push(await emitter.append(i % 2 ? 'T' : 'U', i % 2 ? { num: i } : { id: i }))
    const changes = async (opts) => {
      const found = []
      for await (const entry of emitter.read(opts)) found.push(entry.change)
      return found
    }
    const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
    assert.deepEqual(await changes(), range(1, 20))
    assert.deepEqual(await changes({ since: 5, until: 8 }), [6, 7, 8])
    assert.deepEqual(await changes({ reverse: true }), range(1, 20).reverse())
    assert.deepEqual(await changes({ reverse: true, since: 5, until: 8 }), [8, 7, 6])
    assert.deepEqual(await changes({ names: ['U'], limit: 3 }), [2, 4, 6])
    assert.deepEqual(await changes({ names: 'T', reverse: true, limit: 2 }), [19, 17])
    assert.deepEqual(await changes({ since: 20 }), [])
    assert.deepEqual(await changes({ since: 99, until: 3 }), [])
    assert.deepEqual(await changes({ limit: 0 }), [])
    await assert.rejects(changes({ since: 21 }), { code: 'ERR_HYPER_INVALID_ARG', name: 'RangeError' })
    for await (const entry of emitter.read({ since: 6, limit: 1 })) {
      const { time, ...rest } = entry
      assert.ok(time >= before - 1 && time <= Date.now() + 1)
      assert.deepEqual(rest, {
        change: 7, cursor: `${nodes[6].log}:7:${nodes[6].key}`, key: nodes[6].key, log: nodes[6].log, seq: 7, links: nodes[6].links, name: 'T', payload: { foo: '', num: 7 }
      })
    }
    assert.throws(() => emitter.read({ since: -1 }), { code: 'ERR_HYPER_INVALID_ARG' })
    assert.throws(() => emitter.read({ live: true, reverse: true }), { code: 'ERR_HYPER_INVALID_ARG' })
    assert.throws(() => emitter.read('x'), { code: 'ERR_HYPER_INVALID_ARG' })
  })

  test('read is raw without a codec, and live until the emitter closes', async (t) => {
    const emitter = await make(t, null)
    emitter.emit('a', 'one')
    const found = []
    const reading = (async () => {
      for await (const entry of emitter.read({ live: true })) found.push(String(entry.raw))
    })()
    while (found.length < 1) await turns(1)
    emitter.emit('a', 'two')
    while (found.length < 2) await turns(1)
    await emitter.close()
    await reading
    assert.deepEqual(found, ['one', 'two'])
  })

  test('a live read can be aborted', async (t) => {
    const emitter = await make(t)
    const stop = new AbortController()
    const next = emitter.read({ live: true, signal: stop.signal }).next()
    setImmediate(() => stop.abort())
    await assert.rejects(next, { name: 'AbortError' })
  })

  test('a position is kept under its name; a change that the log does not have is refused', async (t) => {
    const emitter = await make(t)
    assert.equal(await emitter.position('mine'), undefined)
    for (let num = 1; num <= 12; num++) emitter.emit('T', { num })
    await settled(emitter)
    await emitter.position('mine', 12)
    await emitter.position('other', 3)
    assert.equal(await emitter.position('mine'), 12)
    await assert.rejects(emitter.position(''), { code: 'ERR_HYPER_INVALID_ARG' })
    await assert.rejects(emitter.position('mine', -1), { code: 'ERR_HYPER_INVALID_ARG' })
    await assert.rejects(emitter.position('mine', 1.5), { code: 'ERR_HYPER_INVALID_ARG' })
    await assert.rejects(emitter.position('mine', undefined), { code: 'ERR_HYPER_INVALID_ARG' })
    await assert.rejects(emitter.position('mine', 14), { code: 'ERR_HYPER_INVALID_ARG', name: 'RangeError' })
    assert.equal(await emitter.position('mine'), 12)
  })
}
