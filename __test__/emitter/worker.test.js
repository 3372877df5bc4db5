'use strict'

/** Worker threads load the addon and end again. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')

const { ENTRY, SCHEMA, folder } = require('./helpers')

const ROUNDS = 100

/** What a worker does: uses an emitter, says so, and is ended in one of three ways. */
const SCRIPT = `
const { parentPort, workerData: { entry, schema, db, end } } = require('node:worker_threads')
const HyperEmitter = require(entry)
const emitter = HyperEmitter(db, schema)
let heard = 0
emitter.on('T', () => {
  if (++heard < 20) return
  parentPort.postMessage(heard)
  if (end === 'close') emitter.close()
  if (end === 'terminate') emitter.listen(0, '127.0.0.1', () => { for (let num = 0; num < 500; num++) emitter.emit('U', { id: num }, () => {}) })
})
for (let num = 0; num < 20; num++) emitter.emit('T', { num }, () => {})
`

test(`${ROUNDS} workers load, use and leave the addon`, { timeout: 180000 }, async () => {
  const made = folder()
  let heard = 0
  const run = (round) => new Promise((resolve, reject) => {
    const end = ['leave', 'close', 'terminate'][round % 3]
    const db = round % 2 ? path.join(made, String(round)) : undefined
    const worker = new Worker(SCRIPT, { eval: true, workerData: { entry: ENTRY, schema: SCHEMA, db, end } })
    worker.on('error', reject)
    worker.on('message', (count) => {
      heard += count
      if (end === 'terminate') setImmediate(() => worker.terminate())
    })
    worker.on('exit', resolve)
  })
  for (let round = 0; round < ROUNDS; round += 4) await Promise.all([0, 1, 2, 3].map((i) => run(round + i)))
  assert.equal(heard, ROUNDS * 20)
})

test('two environments use emitters at the same time', async (t) => {
  const HyperEmitter = require(ENTRY)
  const emitter = HyperEmitter(undefined, SCHEMA)
  t.after(() => emitter.close())
  const heard = []
  emitter.on('T', (message) => heard.push(message.num))
  const address = await emitter.listen(0, '127.0.0.1')
  const worker = new Worker(`
    const { workerData: { entry, schema, port } } = require('node:worker_threads')
    const emitter = require(entry)(undefined, schema)
    emitter.connect(port, '127.0.0.1')
    for (let num = 0; num < 200; num++) emitter.emit('T', { num })
  `, { eval: true, workerData: { entry: ENTRY, schema: SCHEMA, port: address.port } })
  const gone = new Promise((resolve) => worker.on('exit', resolve))
  while (heard.length < 200) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(heard, [...Array(200).keys()])
  await worker.terminate()
  await gone
})
