'use strict'

/** hyperemitter 1.3.0 and ours use the same LevelDB folder in turns. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { mkdtempSync, rmSync } = require('node:fs')
const { createRequire } = require('node:module')
const { tmpdir } = require('node:os')
const path = require('node:path')
const { test } = require('node:test')

const ours = require('../..')

const oracle = createRequire(path.join(__dirname, '../oracle/package.json'))
const theirs = oracle('hyperemitter')
const SCHEMA = 'message Sale { required string item = 1; optional int32 count = 2; }'

/** The ways to open the folder: as people did with 1.x, and as they do today. */
const openers = {
  'levelup 1': (folder) => oracle('levelup')(folder, { db: oracle('leveldown') }),
  'classic-level 3': (folder) => new (require('classic-level-3').ClassicLevel)(folder),
  'level 10, json': (folder) => new (require('level-10').Level)(folder, { keyEncoding: 'json', valueEncoding: 'json' })
}
const [levelup1] = Object.values(openers)

const closed = (emitter) => new Promise((resolve) => emitter.close(() => resolve()))
const emitted = (emitter, item) => new Promise((resolve, reject) => {
  emitter.emit('Sale', { item }, (error, node) => error ? reject(error) : resolve(node))
})

function temporary (t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperemitter-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return path.join(folder, 'db')
}

/** The first so many items of the whole log. */
function history (emitter, count) {
  return new Promise((resolve, reject) => {
    const items = []
    const stream = emitter.stream({ from: 'beginning' })
    stream.on('error', reject)
    stream.on('data', ({ payload }) => {
      if (items.push(payload.item) < count) return
      // Not destroyed: 1.x reports that as an error. Both end with their emitter.
      stream.pause()
      resolve(items)
    })
  })
}

/** All records of 1.x's as hex, and apart from them ours. */
async function dump (folder) {
  const db = openers['classic-level 3'](folder)
  const records = { theirs: {}, ours: {} }
  for await (const [key, value] of db.iterator({ valueEncoding: 'buffer' })) {
    records[key.startsWith('!hyper2!') ? 'ours' : 'theirs'][key] = value.toString('hex')
  }
  await db.close()
  return records
}

for (const [name, open] of Object.entries(openers)) {
  test(`1.3.0 and ours take turns through ${name}`, { timeout: 120_000 }, async (t) => {
    const folder = temporary(t)
    const items = []
    const links = []
    for (let turn = 0; turn < 8; turn++) {
      const old = turn % 2 === 0
      const emitter = old ? theirs(levelup1(folder), SCHEMA) : ours(open(folder), SCHEMA)
      for (let i = 0; i < 130; i++) {
        const node = await emitted(emitter, `${old ? 'old' : 'new'} ${turn}.${i}`)
        items.push(`${old ? 'old' : 'new'} ${turn}.${i}`)
        assert.equal(node.change, items.length)
        assert.equal(node.seq, items.length)
        assert.deepEqual(node.links, links.splice(0))
        links.push(node.key)
      }
      assert.deepEqual(await history(emitter, items.length), items)
      if (!old) {
        const { nodes, duplicates, logs } = await emitter.verify()
        assert.deepEqual({ nodes, duplicates, logs }, { nodes: items.length, duplicates: 0, logs: 1 })
      }
      await closed(emitter)
    }
    const records = await dump(folder)
    assert.equal(Object.keys(records.theirs).filter((key) => key.startsWith('!changes!')).length, items.length)
    assert.equal(Object.keys(records.theirs).filter((key) => key.startsWith('!heads!')).length, 1)
  })
}

test('the records that 2.x writes are those that 1.3.0 would have written', { timeout: 60_000 }, async (t) => {
  const folder = temporary(t)
  let emitter = ours(levelup1(folder), SCHEMA)
  for (let i = 0; i < 40; i++) await emitted(emitter, `event ${i}`)
  await closed(emitter)
  const before = await dump(folder)
  const log = Buffer.from(before.theirs['!!id'], 'hex').toString()

  // hyperlog itself stores the same nodes anew, under the same log id.
  const again = temporary(t)
  const db = levelup1(again)
  await new Promise((resolve, reject) => db.put('!!id', log, (error) => error ? reject(error) : resolve()))
  const hyperlog = oracle('hyperlog')(db)
  const source = oracle('hyperlog')(levelup1(folder))
  const nodes = []
  await new Promise((resolve, reject) => {
    source.createReadStream().on('error', reject).on('end', resolve).on('data', (node) => nodes.push(node))
  })
  assert.equal(nodes.length, 40)
  for (const { links, value } of nodes) {
    await new Promise((resolve, reject) => hyperlog.add(links, value, (error) => error ? reject(error) : resolve()))
  }
  for (const { db } of [hyperlog, source]) await new Promise((resolve) => db.close(resolve))
  const records = await dump(again)
  delete before.theirs['!!STOREID!!']
  assert.deepEqual(records.theirs, before.theirs)
  assert.deepEqual(records.ours, {})

  emitter = ours(levelup1(again), SCHEMA)
  assert.equal((await history(emitter, 40)).length, 40)
  await closed(emitter)
})

test('a store with duplicates, several logs, foreign keys and unusable peers opens, and 1.3.0 can continue it', { timeout: 60_000 }, async (t) => {
  const folders = [temporary(t), temporary(t)]
  const pair = folders.map((folder) => theirs(levelup1(folder), SCHEMA, { reconnectTimeout: 20 }))
  // Equal events from equal heads: 1.x makes one node of the two, with an entry in either log.
  for (const emitter of pair) for (const item of ['same', 'same again']) await emitted(emitter, item)
  await emitted(pair[0], 'only one')
  const { port } = await new Promise((resolve, reject) => pair[0].listen(0, '127.0.0.1', (error, address) => error ? reject(error) : resolve(address)))
  const arrived = new Promise((resolve) => pair[1].on('Sale', ({ item }) => item === 'only one' && resolve()))
  await new Promise((resolve, reject) => pair[1].connect(port, '127.0.0.1', (error) => error ? reject(error) : resolve()))
  await arrived
  const linked = new Promise((resolve) => pair[0].on('Sale', ({ item }) => item === 'after' && resolve()))
  await emitted(pair[1], 'after')
  await linked
  for (const emitter of pair) await closed(emitter)

  for (const folder of folders) {
    // What 1.x itself writes when somebody is connected to it, and what makes it crash at its next start.
    const db = levelup1(folder)
    const foreign = { '!!PEERS!!': '[{"address":"0"},{"address":"","port":""}]', '!sub!key': 'theirs', zzz: 'theirs', '!logs!x': 'theirs' }
    await new Promise((resolve, reject) => db.batch(Object.entries(foreign).map(([key, value]) => ({ type: 'put', key, value })), (error) => error ? reject(error) : resolve()))
    await new Promise((resolve) => db.close(resolve))
    const before = await dump(folder)

    let emitter = ours(openers['classic-level 3'](folder), SCHEMA)
    await once(emitter.status, 'ready')
    const { nodes, duplicates, logs } = await emitter.verify()
    assert.deepEqual({ nodes, logs }, { nodes: 5, logs: 2 }, 'four sales and an EventPeer')
    assert.ok(duplicates >= 2, `${duplicates} duplicates`)
    await closed(emitter)
    const opened = await dump(folder)
    for (const record of ['!!PEERS!!', '!!STOREID!!']) {
      delete before.theirs[record]
      delete opened.theirs[record]
    }
    assert.deepEqual(opened.theirs, before.theirs, 'opening leaves the records of 1.x alone')

    emitter = ours(openers['classic-level 3'](folder), SCHEMA)
    const node = await emitted(emitter, 'ours')
    assert.equal(node.change, 6)
    await closed(emitter)
    const old = levelup1(folder)
    await new Promise((resolve, reject) => old.del('!!PEERS!!', (error) => error ? reject(error) : resolve()))
    emitter = theirs(old, SCHEMA)
    assert.equal((await emitted(emitter, 'theirs again')).change, 7)
    await closed(emitter)
    emitter = ours(openers['classic-level 3'](folder), SCHEMA)
    const after = await emitter.verify()
    assert.deepEqual({ ...after }, { nodes: 7, duplicates, logs: 2, seals: 0 })
    await closed(emitter)
    assert.equal(Buffer.from((await dump(folder)).theirs['!logs!x'], 'hex').toString(), 'theirs')
  }
})
