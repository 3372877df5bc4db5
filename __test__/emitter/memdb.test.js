'use strict'

const assert = require('node:assert/strict')
const path = require('node:path')
const { createRequire } = require('node:module')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, settled } = require('./helpers')

const memdb = createRequire(path.join(__dirname, '..', 'oracle', 'package.json'))('memdb')

require('./abstract-emitter')('memdb, a levelup database of the caller', async () => {
  const db = memdb()
  // Closing the emitter closes the database, and memdb then forgets everything.
  const keep = () => { db.close = (callback) => callback() }
  return { db, keep, again: () => db }
})

test('a write that fails is told to its callback; the next one goes through', async (t) => {
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

test('closing the emitter closes the database, with the close it has then', async () => {
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
  // A database that does not close is told of: 1.x kept it to itself, and its callback never got arguments.
  assert.deepEqual(calls, ['function', 'ERR_HYPER_STORE', 0])
  await assert.rejects(closing, { code: 'ERR_HYPER_STORE', message: /cannot close/ })
  await emitter.close()
})
