'use strict'

/** Logs of which peers hold another version: `stats` lists them, and one side may adopt the other's version. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, folder, turns } = require('./helpers')
const { STORES } = require('./stores')

function make (t, store) {
  const emitter = new HyperEmitter(store, SCHEMA)
  t.after(() => emitter.close())
  return emitter
}

/** Turns the event loop until `condition` holds, which may query the emitter. */
async function eventually (condition) {
  while (!await condition()) await turns(1)
}

/** Two peers, each with another version of one log, and that log's id. The store is that of the first. */
async function parted (t, store) {
  const [one, two] = [path.join(folder(), 'one'), path.join(folder(), 'two')]
  const original = new HyperEmitter(one, SCHEMA)
  await original.append('T', { num: 0 })
  const { log } = await original.stats()
  await original.close()
  fs.cpSync(one, two, { recursive: true })
  const peers = []
  for (const [num, written, kept] of [[1, one, store], [2, two]]) {
    const peer = make(t, kept)
    const { port } = await peer.listen(0, '127.0.0.1')
    const copy = new HyperEmitter(written, SCHEMA)
    await copy.append('T', { num })
    await copy.connect(port, '127.0.0.1')
    await eventually(async () => (await peer.stats()).logs.some((each) => each.log === log && each.seq === 2))
    await copy.close()
    peers.push({ peer, port })
  }
  return { log, left: peers[0].peer, right: peers[1].peer, port: peers[1].port }
}

async function numbers (emitter) {
  const found = []
  for await (const { name, payload } of emitter.read()) if (name === 'T') found.push(payload.num)
  return found.sort()
}

test('stats lists a stuck log, and adopting the peers\' version resolves it', async (t) => {
  const { log, left, right, port } = await parted(t)
  const warned = once(left.status, 'warning')
  await left.connect(port, '127.0.0.1')
  const [warning] = await warned
  assert.equal(warning.code, 'ERR_HYPER_FORK')
  const { stuck } = await left.stats()
  assert.equal(stuck.length, 1)
  assert.deepEqual([stuck[0].log, stuck[0].seq], [log, 2])
  assert.ok(Math.abs(Date.now() - stuck[0].since) < 60_000)
  assert.match(stuck[0].ours, /^[0-9a-f]{64}$/)
  assert.equal((await right.get(stuck[0].theirs)).log, log)
  await assert.rejects(left.adopt(log, { key: stuck[0].ours }), { code: 'ERR_HYPER_INVALID_ARG' })
  const moved = await left.adopt(log, { key: stuck[0].theirs })
  assert.equal((await left.get(stuck[0].ours)).log, moved)
  await eventually(async () => await left.digest() === await right.digest())
  await eventually(async () => (await numbers(right)).length === 3)
  for (const emitter of [left, right]) assert.deepEqual(await numbers(emitter), [0, 1, 2])
  assert.deepEqual((await left.stats()).stuck, [])
})

test('after a restart, stats reports which log was stuck, since when, and what was known of it', async (t) => {
  for (const [kind, newStore] of STORES.slice(1)) {
    await t.test(kind, async (t) => {
      const store = newStore()
      // memdb forgets everything when it is closed.
      if (typeof store !== 'string') store.close = (callback) => callback()
      const { log, left, right, port } = await parted(t, store)
      await left.connect(port, '127.0.0.1')
      await eventually(async () => (await left.stats()).stuck.length === 1)
      const { stuck, stuckBefore } = await left.stats()
      assert.deepEqual([stuck.length, stuck[0].log, stuckBefore], [1, log, []])
      await right.close()
      await left.close()
      const again = await make(t, store).stats()
      assert.deepEqual([again.stuck, again.stuckBefore.length], [[], 1])
      const { seen, ...before } = again.stuckBefore[0]
      assert.deepEqual(before, stuck[0])
      assert.ok(seen >= before.since)
    })
  }
})

test('only a version that peers hold can be adopted', async (t) => {
  const emitter = make(t)
  for (const args of [[], [1], ['log', { key: 1 }]]) {
    await assert.rejects(emitter.adopt(...args), { name: 'TypeError', code: 'ERR_HYPER_INVALID_ARG' })
  }
  await assert.rejects(emitter.adopt('log', { key: 'no key' }), { code: 'ERR_HYPER_INVALID_ARG' })
  await assert.rejects(emitter.adopt('log'), { code: 'ERR_HYPER_INVALID_ARG' })
})
