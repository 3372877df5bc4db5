'use strict'

/** What strangers do in the name of others: entries of logs that are not theirs, claims of forks. */

const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const { once } = require('node:events')
const path = require('node:path')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, folder, turns } = require('../emitter/helpers')
const { HEAVY, event, meet, messages } = require('./stranger')

const HOST = '127.0.0.1'
const LIMIT = { timeout: 60_000 }

/** An emitter that listens, and what `status` told of peers. */
async function victim (t, store) {
  const emitter = new HyperEmitter(store, SCHEMA)
  t.after(() => emitter.close())
  const told = []
  for (const name of ['warning', 'peerError', 'connectionError']) emitter.status.on(name, (error) => told.push(error.code))
  const { port } = await emitter.listen(0, HOST)
  return { emitter, port, told }
}

/** Turns the event loop until `condition` holds, which may ask the emitter. */
async function eventually (condition) {
  while (!await condition()) await turns(1)
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

test('an entry in the name of an emitter that writes is stored nowhere, told once, and ends the link', LIMIT, async (t) => {
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

test("nobody's word forks a log: frames that claim it move no entry and store no byte", LIMIT, async (t) => {
  const [author, bystander] = [await victim(t, path.join(folder(), 'db')), await victim(t)]
  await bystander.emitter.connect(author.port, HOST)
  for (let num = 0; num < 1000; num++) author.emitter.emit('T', { num })
  await author.emitter.append('T', { num: 1000 })
  await eventually(async () => await bystander.emitter.digest() === await author.emitter.digest())
  const before = await author.emitter.stats()
  for (let round = 0; round < 8 * HEAVY; round++) {
    const stranger = await meet(author.port)
    // 61 bytes, and a question behind them whose answer says that they have been dealt with.
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

test('who squats on the next entry of an author at a peer that knows the author through another only harms nobody for good', LIMIT, async (t) => {
  const [author, relay, far] = [await victim(t), await victim(t), await victim(t)]
  await relay.emitter.connect(author.port, HOST)
  await author.emitter.append('T', { num: 1 })
  await eventually(async () => (await numbers(relay.emitter)).length === 1)
  const { log, seq } = await own(author.emitter)
  // Two links to the far one: the author's first entry, which it needs, and the false second one.
  await far.emitter.connect(relay.port, HOST)
  await eventually(async () => (await numbers(far.emitter)).length === 1)
  const stranger = await meet(far.port)
  await Promise.all([
    author.emitter.append('T', { num: 2 }),
    stranger.send(messages.batch([log], [{ index: 0, seq: seq + 1, value: numbered(66) }]))
  ])
  for (let num = 3; num < 100; num++) author.emitter.emit('T', { num })
  const wanted = Array.from({ length: 99 }, (_, at) => at + 1)
  await eventually(async () => {
    const [version] = (await far.emitter.stats()).stuck ?? []
    // The stranger was first: the operator sees it, and may take the author's version.
    if (version?.proven) await far.emitter.adopt(version.log, { key: version.theirs }).catch(() => {})
    const has = await numbers(far.emitter)
    return wanted.every((num) => has.includes(num))
  })
})

test('an honest peer that holds what a stranger wrote in the name of another is cut off once for it, not again and again', LIMIT, async (t) => {
  const [author, relay] = [await victim(t), await victim(t)]
  let cuts = 0
  relay.emitter.status.on('disconnected', ({ direction }) => { if (direction === 'out') cuts++ })
  const linked = async () => (await author.emitter.stats()).peers.some((peer) => peer.state === 'live')
  await author.emitter.append('T', { num: 1 })
  await relay.emitter.connect(author.port, HOST)
  await eventually(async () => (await numbers(relay.emitter)).length === 1)
  // As often as forks are acted upon at once, and once more.
  for (let round = 1; round <= 5; round++) {
    const { log, seq } = await own(author.emitter)
    const stranger = await meet(relay.port, `stranger ${round}`)
    stranger.send(messages.batch([log], [{ index: 0, seq: seq + 1, value: numbered(66 + round) }]))
    await eventually(() => cuts === round)
    stranger.socket.destroy()
    await eventually(linked)
    // The author's own entry there leads to the proof that its log is forked, and all is well again.
    await author.emitter.append('T', { num: 1 + round })
    if (round < 5) await eventually(async () => await author.emitter.digest() === await relay.emitter.digest())
  }
  await eventually(() => author.told.length === 6)
  for (let num = 10; num < 20; num++) await author.emitter.append('T', { num })
  assert.ok(await linked())
  assert.deepEqual([cuts, new Set(author.told)], [5, new Set(['ERR_HYPER_FORGED'])])
})
