'use strict'

/** Forgeries: entries of logs that do not belong to the sender, and claims of forks. */

const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const { once } = require('node:events')
const path = require('node:path')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, folder, turns } = require('../emitter/helpers')
const { HEAVY, event, meet, messages } = require('./stranger')

const HOST = '127.0.0.1'
const LIMIT = { timeout: 60_000 }

/** An emitter that listens, and the peer events of its `status`. */
async function victim (t, store) {
  const emitter = new HyperEmitter(store, SCHEMA)
  t.after(() => emitter.close())
  const told = []
  for (const name of ['warning', 'peerError', 'connectionError']) emitter.status.on(name, (error) => told.push(error.code))
  const { port } = await emitter.listen(0, HOST)
  return { emitter, port, told }
}

/** Turns the event loop until `condition` holds, which may query the emitter. Stops when the test has ended. */
async function eventually (condition) {
  const end = Date.now() + LIMIT.timeout
  while (!await condition()) {
    if (Date.now() > end) throw new Error('what was waited for did not come')
    await turns(1)
  }
}

async function numbers (emitter) {
  const found = []
  for await (const { payload } of emitter.read({ names: ['T'] })) found.push(payload.num)
  return found
}

const own = async (emitter) => {
  const { log, logs } = await emitter.stats()
  return { log, seq: logs.find((each) => each.log === log).seq }
}

const numbered = (num) => event('T', Buffer.from([16, num]))

test('a forged entry in the log of an emitter that writes is not stored, reported once, and ends the link', LIMIT, async (t) => {
  const [author, bystander] = [await victim(t), await victim(t)]
  await bystander.emitter.connect(author.port, HOST)
  for (const num of [1, 2]) await author.emitter.append('T', { num })
  await eventually(async () => (await numbers(bystander.emitter)).length === 2)
  for (let round = 0; round < HEAVY; round++) {
    const { log, seq } = await own(author.emitter)
    const stranger = await meet(author.port)
    // 70 bytes.
    stranger.send(messages.batch([log], [{ index: 0, seq: seq + 1, value: numbered(66) }]))
    await Promise.race([stranger.ended, once(author.emitter, 'T')])
  }
  const { log, seq } = await own(author.emitter)
  const node = await author.emitter.append('T', { num: 3 })
  assert.deepEqual([node.log, node.seq], [log, seq + 1])
  await eventually(async () => (await numbers(bystander.emitter)).length >= 3)
  for (const { emitter } of [author, bystander]) assert.deepEqual(await numbers(emitter), [1, 2, 3])
  assert.deepEqual(author.told, Array(HEAVY).fill('ERR_HYPER_FORGED'))
})

test('claims of a fork, without the entry itself, move no entry and store no byte', LIMIT, async (t) => {
  const [author, bystander] = [await victim(t, path.join(folder(), 'db')), await victim(t)]
  await bystander.emitter.connect(author.port, HOST)
  for (let num = 0; num < 1000; num++) author.emitter.emit('T', { num })
  await author.emitter.append('T', { num: 1000 })
  await eventually(async () => await bystander.emitter.digest() === await author.emitter.digest())
  const before = await author.emitter.stats()
  for (let round = 0; round < 8 * HEAVY; round++) {
    const stranger = await meet(author.port)
    // 61 bytes. The answer to the following question shows that they have been handled.
    stranger.send(messages.fork(before.log, 1 + round % 1000, randomBytes(32)), messages.probe(before.log, 1))
    await stranger.answered()
    stranger.socket.destroy()
    await stranger.ended
  }
  const after = await author.emitter.stats()
  assert.deepEqual(
    [after.log, after.change, after.logs.length, after.sizes.data],
    [before.log, before.change, before.logs.length, before.sizes.data]
  )
  assert.equal(await bystander.emitter.digest(), await author.emitter.digest())
})
