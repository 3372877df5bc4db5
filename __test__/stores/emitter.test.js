'use strict'

/** A whole emitter on every kind of Level store. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const path = require('node:path')
const { test } = require('node:test')

const hyperemitter = require('../..')
const { all, disk, release } = require('./shapes')

const SCHEMA = 'message Sale { required string item = 1; optional int32 count = 2; }'

const closed = (emitter) => new Promise((resolve) => emitter.close(resolve))
const emitted = (emitter, item, count) => new Promise((resolve, reject) => {
  emitter.emit('Sale', { item, count }, (error, node) => error ? reject(error) : resolve(node))
})

/** Items of the first so many events from the beginning of the log. */
async function history (emitter, count) {
  const items = []
  const stream = emitter.stream({ from: 'beginning' })
  for await (const { name, payload } of stream) {
    assert.equal(name, 'Sale')
    if (items.push(payload.item) === count) break
  }
  return items
}

for (const [name, open] of Object.entries(all)) {
  test(`${name}: emit, listen, stream, reopen, continue`, { timeout: 60_000 }, async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'hyperemitter-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const db = open(folder)
    // A store in memory is kept open under the first emitter, as 1.x's own tests do, and given to the second.
    const close = db.close
    if (!(name in disk)) db.close = (callback) => callback()

    let emitter = hyperemitter(db, SCHEMA)
    const heard = []
    emitter.on('Sale', ({ item }) => heard.push(item))
    const first = await Promise.all(['apple', 'pear', 'ünïcode'].map((item, i) => emitted(emitter, item, i)))
    assert.deepEqual(first.map((node) => [node.change, node.seq]), [[1, 1], [2, 2], [3, 3]])
    assert.deepEqual(await history(emitter, 3), ['apple', 'pear', 'ünïcode'])
    assert.deepEqual(heard, ['apple', 'pear', 'ünïcode'])
    await closed(emitter)

    if (name in disk) await release(db)
    const again = name in disk ? open(folder) : db
    emitter = hyperemitter(again, SCHEMA)
    await once(emitter.status, 'ready')
    const node = await emitted(emitter, 'again', 4)
    assert.deepEqual([node.change, node.seq, node.links], [4, 4, [first[2].key]])
    assert.deepEqual(await history(emitter, 4), ['apple', 'pear', 'ünïcode', 'again'])
    assert.deepEqual(await emitter.verify(), { nodes: 4, duplicates: 0, logs: 1, seals: 0 })
    db.close = close
    await closed(emitter)
    await release(again)
  })
}

test('a database that could not be opened is closed by close()', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperemitter-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const db = all['level 7'](folder)
  // A head whose node is missing.
  await db.put(`!heads!${'ab'.repeat(32)}`, 'ab'.repeat(32))
  const emitter = hyperemitter(db, SCHEMA)
  await assert.rejects(emitter.ready(), { code: 'ERR_HYPER_DAMAGED' })
  assert.equal(db.isOpen(), true, 'until then it can be looked into')
  await emitter.close()
  assert.equal(db.isOpen(), false)
})
