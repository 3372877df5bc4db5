'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, folder } = require('./helpers')

require('./any-store')('the embedded store', async () => {
  const db = path.join(folder(), 'db')
  return { db, again: () => db }
})

test('the last event can be read as soon as the store is open', async () => {
  const db = path.join(folder(), 'db')
  const first = new HyperEmitter(db, SCHEMA)
  await first.append('T', { num: 1 })
  await first.append('T', { num: 2 })
  await first.close()
  for (let round = 0; round < 20; round++) {
    const emitter = new HyperEmitter(db, SCHEMA)
    await emitter.ready()
    assert.equal(emitter._hyperlog.changes, 2)
    const { value } = await emitter.read({ reverse: true, limit: 1 }).next()
    assert.equal(value.payload.num, 2)
    await emitter.close()
  }
})

test('status reports the progress of a long opening', async (t) => {
  const db = path.join(folder(), 'db')
  const first = new HyperEmitter(db)
  for (let i = 0; i < 3; i++) await first.append('big', Buffer.alloc(3e6))
  await first.close()
  fs.rmSync(path.join(db, 'index'), { recursive: true })
  const emitter = new HyperEmitter(db)
  t.after(() => emitter.close())
  const heard = []
  emitter.status.on('progress', (progress) => heard.push(progress))
  await emitter.ready()
  assert.ok(heard.length > 0)
  for (const { done, total } of heard) assert.ok(done > 0 && done <= total && total > 9e6)
})
