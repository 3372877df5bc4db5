'use strict'

const assert = require('node:assert/strict')
const path = require('node:path')
const { createRequire } = require('node:module')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, folder, settled } = require('./helpers')

const memdb = createRequire(path.join(__dirname, '..', 'oracle', 'package.json'))('memdb')

require('./any-store')('memdb, a levelup database of the caller', async () => {
  const db = memdb()
  // Closing the emitter closes the database, and memdb then forgets everything.
  const keep = () => { db.close = (callback) => callback() }
  return { db, keep, again: () => db }
})

test('a failed write is reported to its callback, and the next one succeeds', async (t) => {
  const db = memdb()
  const emitter = new HyperEmitter(db, SCHEMA)
  t.after(() => emitter.close())
  await emitter.ready()
  const heard = []
  const warned = []
  emitter.on('T', (message) => heard.push(message.num))
  emitter.status.on('warning', (error) => warned.push(error.message))
  const { batch } = db
  db.batch = (ops, ...rest) => {
    db.batch = batch
    setImmediate(rest.pop(), new Error('disk full'))
  }
  await assert.rejects(emitter.append('T', { num: 1 }), { code: 'ERR_HYPER_STORE', message: /disk full/ })
  const node = await emitter.append('T', { num: 2 })
  await settled(emitter)
  assert.deepEqual([heard, node.change, node.seq], [[2], 1, 1])
  assert.ok(warned.every((message) => /disk full/.test(message)))
})

test('closing the emitter closes the database, with the method close that it has at that time', async () => {
  const db = memdb()
  const emitter = new HyperEmitter(db, SCHEMA)
  await emitter.append('T', { num: 1 })
  const calls = []
  db.close = (callback) => {
    calls.push(typeof callback)
    callback(new Error('cannot close'))
  }
  emitter.status.on('warning', (error) => calls.push(error.code))
  const closing = emitter.close()
  await new Promise((resolve) => emitter.close((...args) => { calls.push(args.length); resolve() }))
  // A database that fails to close is reported: 1.x did not, and its callback never got arguments.
  assert.deepEqual(calls, ['function', 'ERR_HYPER_STORE', 0])
  await assert.rejects(closing, { code: 'ERR_HYPER_STORE', message: /cannot close/ })
  await emitter.close()
})

test('an import copies the other emitter\'s id, peers and address only if asked to, and only if the store has none', async (t) => {
  const db = memdb()
  const source = new HyperEmitter(db, SCHEMA)
  const id = await source.getId()
  const far = new HyperEmitter(undefined, SCHEMA)
  t.after(() => far.close())
  const { port } = await far.listen(0, '127.0.0.1')
  await source.connect(port, '127.0.0.1')
  await source.append('T', { num: 1 })
  db.close = (callback) => callback()
  await source.close()
  const open = (...args) => {
    const emitter = new HyperEmitter(...args)
    t.after(() => emitter.close())
    return emitter
  }
  const copy = open(undefined, SCHEMA)
  await copy.importFrom(db)
  assert.notEqual(await copy.getId(), id)
  await copy.importFrom(db, { identity: true })
  const own = await copy.getId()
  assert.notEqual(own, id)
  const folderOf = path.join(folder(), 'db')
  const moved = new HyperEmitter(folderOf, SCHEMA)
  await moved.importFrom(db, { identity: true })
  assert.equal(await moved.getId(), id)
  await moved.close()
  // It knows the peer, and dials it.
  const linked = new Promise((resolve) => far.status.once('peerConnected', resolve))
  const again = open(folderOf, SCHEMA)
  await linked
  assert.equal(await again.getId(), id)
})
