'use strict'

/** Heads, nodes, digest, statistics, verification, and the log as 1.x's code reads it. */

const assert = require('node:assert/strict')
const { on } = require('node:events')
const { test } = require('node:test')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ make }) {
  test('heads, get, digest and stats describe the stored events, and verify finds them intact', async (t) => {
    const emitter = await make(t)
    assert.deepEqual(await emitter.heads(), [])
    const empty = await emitter.digest()
    const node = await emitter.append('T', { num: 1 })
    assert.deepEqual(await emitter.heads(), [{ change: 1, key: node.key, log: node.log, seq: 1 }])
    assert.deepEqual(await emitter.get(node.key), node)
    assert.equal(await emitter.get('0'.repeat(64)), undefined)
    await assert.rejects(emitter.get('short'), { code: 'ERR_HYPER_INVALID_ARG' })
    assert.match(await emitter.digest(), /^[0-9a-f]{64}$/)
    assert.notEqual(await emitter.digest(), empty)
    const stats = await emitter.stats()
    assert.deepEqual([stats.change, stats.log, stats.heads, stats.pending, stats.peers], [1, node.log, 1, 0, []])
    assert.deepEqual(stats.logs.map(({ log, seq }) => ({ log, seq })), [{ log: node.log, seq: 1 }])
    const steps = []
    assert.deepEqual(await emitter.verify({ onProgress: (step) => steps.push(step) }), { nodes: 1, duplicates: 0, logs: 1, seals: 0 })
    assert.ok(steps.every(({ done, total }) => done <= total))
    await Promise.all(Array.from({ length: 50 }, (_, num) => emitter.append('T', { num })))
    const { commits } = await emitter.stats()
    // What is emitted together is committed together.
    assert.ok(commits > stats.commits && commits < stats.commits + 10, `${stats.commits} commits, then ${commits}`)
  })

  test('code of 1.x that reads _hyperlog finds what it expects', async (t) => {
    const emitter = await make(t)
    const first = await emitter.append('T', { num: 1 })
    const second = await emitter.append('T', { num: 2 })
    const log = emitter._hyperlog
    assert.equal(log.changes, 2)
    assert.deepEqual(await new Promise((resolve) => log.get(first.key, (error, node) => resolve(error ?? node))), first)
    assert.deepEqual(await new Promise((resolve) => log.heads((error, heads) => resolve(error ?? heads))), [second])
    const missing = await new Promise((resolve) => log.get('f'.repeat(64), resolve))
    assert.equal(missing.notFound, true)
    const nodes = []
    for await (const node of log.createReadStream()) nodes.push(node)
    assert.deepEqual(nodes, [first, second])
    nodes.length = 0
    for await (const node of log.createReadStream({ since: 1, limit: 5 })) nodes.push(node)
    assert.deepEqual(nodes, [second])
    const live = log.createReadStream({ since: 1, live: true })
    const heard = on(live, 'data')
    assert.deepEqual((await heard.next()).value, [second])
    const third = await emitter.append('T', { num: 3 })
    assert.deepEqual((await heard.next()).value, [third])
    live.destroy()
  })
}
