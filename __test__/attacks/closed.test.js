'use strict'

/**
 * Attacks on emitters with an identity: incomplete handshakes, replays, resets at every byte, copied folders, and readers that
 * send events.
 */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { test } = require('node:test')

const { folder } = require('../emitter/helpers')
const { HOST, hears, make, refused, secured, told } = require('../trust/helpers')
const { HEAVY, connect, event, meet, messages } = require('./stranger')

const LIMIT = { timeout: 120_000 }

/** The numbers of all `T` events of an emitter. */
async function numbers (emitter) {
  const found = []
  for await (const { payload } of emitter.read({ names: ['T'] })) found.push(payload.num)
  return found
}

/** Two emitters that list each other; the first one listens. */
async function pair (t) {
  const [a, b] = [secured(t), secured(t)]
  await Promise.all([a.ready(), b.ready()])
  a.setPeers({ [b.publicKey]: 'write' })
  const { port } = await a.listen(0, HOST)
  return { a, b, port, key: a.publicKey }
}

/**
 * A relay to `port`. It passes `limit` bytes of a connection, counted over both directions, and then resets both ends. `heard`
 * is what the last dialler sent.
 */
async function relay (t, port) {
  const server = net.createServer((near) => {
    const far = net.connect(port, HOST)
    let left = server.limit
    server.heard = []
    const pass = (from, to) => {
      from.on('data', (bytes) => {
        if (from === near) server.heard.push(bytes)
        to.write(bytes.subarray(0, Math.max(0, left)))
        left -= bytes.length
        if (left > 0) return
        near.resetAndDestroy()
        far.resetAndDestroy()
      })
      from.on('error', () => {}).on('close', () => to.destroy())
    }
    pass(near, far)
    pass(far, near)
  })
  server.limit = Infinity
  server.listen(0, HOST)
  await once(server, 'listening')
  t.after(() => server.close())
  return server
}

test('any number of incomplete handshakes keeps no other peer out', LIMIT, async (t) => {
  const { a, b, port, key } = await pair(t)
  const first = Buffer.concat([Buffer.from([34, 22, 1]), Buffer.alloc(32, 9)])
  const open = []
  for (let round = 0; round < 500 * HEAVY; round++) {
    const stranger = await connect(port, first)
    // Some stay and some go, some with a reset.
    if (round % 3 === 0) open.push(stranger)
    else if (round % 3 === 1) stranger.socket.destroy()
    else stranger.socket.resetAndDestroy()
  }
  await b.connect(port, HOST, { key })
  await hears(b, a, 'T', { num: 1 })
  assert.deepEqual((await a.stats()).peers.filter(({ publicKey }) => publicKey !== null).map(({ publicKey }) => publicKey), [b.publicKey])
  for (const { socket } of open) socket.destroy()
})

test('a recorded handshake that is sent again opens no link', LIMIT, async (t) => {
  const { a, b, port, key } = await pair(t)
  const server = await relay(t, port)
  await b.connect(server.address().port, HOST, { key })
  await hears(a, b, 'T', { num: 1 })
  const recorded = Buffer.concat(server.heard)
  await b.close()
  for (const bytes of [recorded, recorded.subarray(35), Buffer.concat([recorded, recorded])]) {
    const error = told(a, 'peerError')
    const stranger = await connect(port, bytes)
    await stranger.ended
    // The stranger gets the answer to the first frame, which anybody may request, and at most a reason.
    assert.ok(stranger.received < 400, `${stranger.received} bytes`)
    if (bytes === recorded) assert.equal((await error).code, 'ERR_HYPER_INSECURE')
  }
  assert.deepEqual(await numbers(a), [1])
})

test('connections that are reset at any byte harm no link, and the next one replicates everything', LIMIT, async (t) => {
  const { a, b, port, key } = await pair(t)
  const server = await relay(t, port)
  const internal = []
  for (const name of ['warning', 'peerError']) {
    a.status.on(name, (error) => { if (error.code === 'ERR_HYPER_INTERNAL') internal.push(error) })
  }
  await a.append('T', { num: 0 })
  // The three frames of a handshake have 35, 196 and 164 bytes; records follow.
  const places = HEAVY > 1 ? Array.from({ length: 900 }, (_, at) => at) : [0, 1, 2, 34, 35, 36, 100, 230, 231, 232, 300, 394, 395, 396, 450, 600, 900]
  for (const place of places) {
    server.limit = place
    // A new emitter each time, because one emitter would wait longer after each failed attempt.
    const one = secured(t)
    await one.ready()
    a.setPeers({ [b.publicKey]: 'write', [one.publicKey]: 'write' })
    const failed = told(one, 'connectionError')
    one.connect(server.address().port, HOST, { key }).catch(() => {})
    assert.notEqual((await failed).code, 'ERR_HYPER_INTERNAL', `at ${place}`)
    await one.close()
  }
  server.limit = Infinity
  await b.connect(server.address().port, HOST, { key })
  await hears(b, a, 'T', { num: 1 })
  assert.deepEqual(await numbers(b), [0, 1])
  assert.deepEqual(internal, [])
})

test('a copy of the folder of an emitter has its events, but can neither write in its log nor connect in its name', LIMIT, async (t) => {
  const peer = secured(t)
  await peer.ready()
  const store = path.join(folder(), 'store')
  const owner = secured(t, {}, store)
  await owner.ready()
  peer.setPeers({ [owner.publicKey]: 'write' })
  const { port } = await peer.listen(0, HOST)
  await owner.connect(port, HOST, { key: peer.publicKey })
  await hears(peer, owner, 'T', { num: 1 })
  const { log } = await owner.stats()
  await owner.close()
  const copy = path.join(folder(), 'copy')
  fs.cpSync(store, copy, { recursive: true })
  const without = make(t, {}, copy)
  await assert.rejects(() => without.append('T', { num: 2 }), { code: 'ERR_HYPER_IDENTITY' })
  await without.close()
  const thief = secured(t, {}, copy)
  await thief.append('T', { num: 3 })
  assert.notEqual((await thief.stats()).log, log, 'it writes a log of its own')
  assert.equal((await refused(thief.connect(port, HOST, { key: peer.publicKey }))).code, 'ERR_HYPER_RIGHTS')
  assert.deepEqual(await numbers(peer), [1])
})

test('a peer that may only read and sends events loses its link, and its events are not stored', LIMIT, async (t) => {
  const a = make(t, { plain: 'read' })
  const { port } = await a.listen(0, HOST)
  const error = told(a, 'peerError')
  const stranger = await meet(port)
  stranger.send(messages.batch(['stranger'], [{ index: 0, seq: 1, value: event('T', Buffer.from([16, 7])) }]))
  await stranger.ended
  assert.equal((await error).code, 'ERR_HYPER_RIGHTS')
  assert.deepEqual(await numbers(a), [])
})
