'use strict'

/**
 * Stores that commit 9f07ed4 wrote, before there was an index of names and tags: a folder and a Level database. Its emitter had appended
 * 36 events to its own log and got 5 of a peer, whose address it remembered, and a reader's position was 25.
 */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { ClassicLevel } = require('classic-level')

const { HyperEmitter, SCHEMA, folder } = require('./helpers')
const { all } = require('./stores')

const DATA = path.join(__dirname, '..', '..', 'tests', 'data')

const WRITTEN = [
  {
    what: 'a folder',
    write: (at) => fs.cpSync(path.join(DATA, 'store-9f07ed4'), at, { recursive: true }),
    open: (at) => at,
    id: 'ctxhfdu28fbwc6b4b6v2z415g',
    log: 'c4zc56esclihvznsd7lkrz69q',
    digest: 'ce09fc38eeba77018a6fea05839cfe8b7f8800f2e667a2b5615f39cbe79131b9'
  },
  {
    what: 'a Level database',
    async write (at) {
      const db = new ClassicLevel(at)
      const { rows } = JSON.parse(fs.readFileSync(path.join(DATA, 'leveldb', '9f07ed4.json'), 'utf8'))
      await db.batch(rows.map(([key, value]) => ({ type: 'put', key, value: Buffer.from(value, 'hex') })), { valueEncoding: 'buffer' })
      await db.close()
    },
    open: (at) => new ClassicLevel(at),
    id: 'cdbrfr1fr3g5qre4hq3si6rhd',
    log: 'cwbgdzaahpa7bo6057b1smn5b',
    digest: 'a208103a9c46edabcdfbfa7aebdff0ab58384af2b76f6c4ae49bba1f28b44b60'
  }
]

/** What was appended: every third event is a U. */
const appended = (name) => Array.from({ length: 40 }, (_, at) => at + 1).filter((num) => (num % 3 === 0) === (name === 'U'))

for (const { what, write, open, id, log, digest } of WRITTEN) {
  test(`${what} of commit 9f07ed4 has all it had, is searched, and goes on`, async (t) => {
    const at = path.join(folder(), 'store')
    await write(at)
    let emitter = new HyperEmitter(open(at), SCHEMA)
    t.after(() => emitter.close())
    const warnings = []
    emitter.status.on('warning', (error) => warnings.push(error))
    await emitter.ready()
    let stats = await emitter.stats()
    assert.deepEqual([stats.change, stats.logs.map(({ seq }) => seq).sort()], [41, [36, 5]])
    // The peer is dialled, in vain.
    while (stats.peers.length === 0) stats = await emitter.stats()
    assert.equal(stats.peers[0].key, '127.0.0.1:1')
    assert.equal(await emitter.digest(), digest)
    assert.equal(await new Promise((resolve, reject) => emitter.getId((error, found) => error ? reject(error) : resolve(found))), id)
    assert.equal(await emitter.position('reader'), 25)
    assert.equal((await emitter.verify()).nodes, 41)

    assert.equal((await all(emitter.read())).length, 41)
    const nums = async (query) => (await all(emitter.read(query))).map(({ payload }) => payload.num ?? payload.id)
    for (const name of ['T', 'U']) assert.deepEqual(await nums({ names: name }), appended(name))
    assert.deepEqual(await nums({ names: ['T', 'U'], reverse: true, limit: 3 }), [40, 39, 38])

    const [latest] = await all(emitter.read({ names: 'U', reverse: true, limit: 1 }))
    const append = (after) => emitter.append([{ name: 'U', payload: { id: 41 }, tags: ['new'] }], { id: 'request', failIf: { names: 'U', after } })
    await assert.rejects(append(latest.change - 1), { code: 'ERR_HYPER_CONDITION', change: latest.change })
    const [node] = await append(latest.change)
    assert.deepEqual([node.log, node.seq, node.change], [log, 37, 42])
    assert.deepEqual(warnings, [])
    await emitter.close()

    emitter = new HyperEmitter(open(at), SCHEMA, { dial: false })
    assert.equal((await append(0))[0].change, 42, 'the id is known')
    assert.deepEqual(await nums({ tags: 'new' }), [41])
    assert.equal((await emitter.verify()).nodes, 42)
  })
}
