'use strict'

/**
 * The processes of `full.js`: the attacked emitter, an honest peer, an attacker, and a process that only uses as much of a core
 * as an attacker does. Each answers requests that its parent sends as messages.
 */

const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { once } = require('node:events')

const root = path.join(__dirname, '..', '..')
const { messages } = require('../soak/raw')

const HOST = '127.0.0.1'
const SCHEMA = 'message Tick { required string at = 1; } message T { required int32 num = 1; }'

/** Emits that the attacked process has under way. */
const WINDOW = 32

const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
const now = () => process.hrtime.bigint()
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Measures the number of events in a period, and the 99th percentile of their duration. */
class Measure {
  begin () {
    this.since = now()
    this.took = []
  }

  add (nanoseconds) {
    this.took?.push(Number(nanoseconds))
  }

  end () {
    const seconds = Number(now() - this.since) / 1e9
    const sorted = this.took.sort((a, b) => a - b)
    this.took = undefined
    return { perSecond: Math.round(sorted.length / seconds), p99: (sorted[Math.floor(sorted.length * 0.99)] ?? NaN) / 1e6 }
  }
}

/** The attacked emitter: emits all the time, and listens. */
async function attacked () {
  const HyperEmitter = require(root)
  const emitter = new HyperEmitter(undefined, SCHEMA)
  for (const name of ['warning', 'peerError', 'connectionError']) emitter.status.on(name, () => {})
  const { port } = await emitter.listen(0, HOST)
  const measure = new Measure()
  const state = { emitting: false }
  let most = 0
  setInterval(() => { most = Math.max(most, rss()) }, 20)
  const loop = async () => {
    while (state.emitting) {
      const began = now()
      await emitter.append('Tick', { at: String(began) })
      measure.add(now() - began)
    }
  }
  answer({
    port: () => port,
    begin: () => {
      measure.begin()
      state.emitting = true
      for (let each = 0; each < WINDOW; each++) loop()
    },
    end: () => {
      state.emitting = false
      return measure.end()
    },
    memory: async () => {
      await sleep(100)
      const was = most
      most = rss()
      return was
    },
    peers: async () => (await emitter.stats()).peers.length
  })
}

/** An honest peer: replicates from the attacked emitter. */
async function honest (port) {
  const HyperEmitter = require(root)
  const emitter = new HyperEmitter(undefined, SCHEMA)
  const measure = new Measure()
  emitter.on('Tick', ({ at }) => measure.add(now() - BigInt(at)))
  await emitter.connect(port, HOST)
  answer({ begin: () => measure.begin(), end: () => measure.end() })
}

/** Uses a whole core. */
function spinning () {
  for (;;) for (let turn = 0; turn < 1e9; turn++);
}

const frame = (type, body) => {
  const bytes = Buffer.concat([Buffer.from([type]), body])
  return Buffer.concat([varint(bytes.length), bytes])
}
const varint = (number) => {
  const out = []
  for (; number >= 128; number = Math.floor(number / 128)) out.push(number % 128 | 128)
  return Buffer.from([...out, number])
}

/** What attackers hold, with each of many connections. */
const HOLDS = {
  'a frame of 64 KiB without a handshake, but for its end': () => Buffer.concat([varint(65536), Buffer.alloc(65535)]),
  'a place': (n) => Buffer.concat([messages.handshake(`holder ${n}`), messages.vector()]),
  'a place as 1.x has it': () => Buffer.from([5, 0, 8, 1, 32, 1, 1, 4, 1, 5]),
  'a frame of 60 MiB of which 1 MiB comes': (n) => Buffer.concat([messages.handshake(`hoarder ${n}`), messages.vector(), varint(60 << 20), Buffer.from([7]), Buffer.alloc(1 << 20)]),
  'events that wait for one that never comes': (n) => Buffer.concat([
    messages.handshake(`parker ${n}`), messages.vector(),
    ...Array.from({ length: 12 }, (_, batch) => messages.batch([`parker ${n}`],
      Array.from({ length: 60 }, (_, row) => ({ index: batch, seq: 2 + batch * 60 + row, value: Buffer.alloc(1000, n) }))))
  ]),
  'names of logs': (n) => Buffer.concat([
    messages.handshake(`namer ${n}`),
    messages.vector(Array.from({ length: 1000 }, (_, log) => ({ log: `${n}/${log}`.padEnd(60, '-'), seq: 1 })))
  ])
}

/** What attackers send without end. */
const FLOODS = {
  probes: () => messages.probe('nobody', 50),
  'vectors that take back what they said': () => Buffer.concat([messages.vector(), messages.credit(0, ['a log'])]),
  'names of logs': (n, turn) => messages.credit(0, Array.from({ length: 100 }, (_, log) => `${n} ${turn} ${log}`)),
  'the same event': () => messages.batch([], Array.from({ length: 20 }, () => ({ index: 0, seq: 1, value: Buffer.from('x') }))),
  'signs of life': () => Buffer.concat(Array.from({ length: 50 }, () => messages.alive)),
  'unknown messages': () => frame(29, Buffer.alloc(2000))
}

/** A reader begins again after so many bytes, or when nothing has come for so many milliseconds. */
const READ_BYTES = 16 * 1024 * 1024
const READ_MS = 200

function connected (port, address, first) {
  const socket = net.connect({ port, host: HOST, localAddress: address })
  socket.on('error', () => {})
  socket.on('data', () => {})
  socket.on('connect', () => socket.write(first))
  return socket
}

const address = (n) => `127.0.${1 + n % 8}.1`

function attacking (port) {
  const state = { flooding: false }
  let [sockets, moved] = [[], 0]
  const flood = (name, n) => {
    const opening = Buffer.concat([messages.handshake(`flooder ${n}`), messages.vector(), messages.batch([`flooder ${n}`], [{ index: 0, seq: 1, value: Buffer.from('x') }])])
    const socket = connected(port, address(n), opening)
    let turn = 0
    const go = () => {
      // A few frames at a time, so that other connections get their turn.
      for (let each = 0; state.flooding && each < 16; each++) {
        const bytes = FLOODS[name](n, turn++)
        moved += bytes.length
        if (!socket.write(bytes)) return
      }
      if (state.flooding && socket.writable) setImmediate(go)
    }
    socket.on('connect', go)
    socket.on('drain', go)
    socket.on('close', () => { if (state.flooding) setTimeout(() => flood(name, n), 10) })
    sockets.push(socket)
  }
  const read = (n) => {
    // All from one address: that is what makes many readers worse than one.
    const socket = connected(port, address(0), Buffer.concat([messages.handshake(`reader ${n}`), messages.vector()]))
    const end = setTimeout(() => socket.destroy(), READ_MS)
    let left = READ_BYTES
    socket.on('data', (chunk) => {
      moved += chunk.length
      left -= chunk.length
      if (left < 0) socket.destroy()
      end.refresh()
    })
    socket.on('close', () => {
      clearTimeout(end)
      if (state.flooding) setTimeout(() => read(n), 10)
    })
    sockets.push(socket)
  }
  answer({
    hold: async ([name, count]) => {
      for (let n = 0; n < count; n++) {
        const socket = connected(port, address(n), HOLDS[name](n))
        sockets.push(socket)
        await Promise.race([once(socket, 'connect'), once(socket, 'close')])
      }
      await sleep(1000)
      return sockets.filter((socket) => !socket.destroyed).length
    },
    flood: ([name, count]) => {
      state.flooding = true
      moved = 0
      for (let n = 0; n < count; n++) flood(name, n)
    },
    read: (count) => {
      state.flooding = true
      moved = 0
      for (let n = 0; n < count; n++) read(n)
    },
    drop: async () => {
      state.flooding = false
      for (const socket of sockets) socket.destroy()
      sockets = []
      await sleep(500)
      return moved
    }
  })
}

/** Answers the parent's requests. */
function answer (questions) {
  process.on('message', async ({ id, what, about }) => process.send({ id, answer: await questions[what](about) }))
  process.on('disconnect', () => process.exit())
  process.send('ready')
}

module.exports = { FLOODS, HOLDS }

if (require.main === module) {
  const [role, port] = process.argv.slice(2)
  const roles = { attacked, honest, spinning, attacking }
  Promise.resolve(roles[role](Number(port))).catch((error) => {
    console.error(error)
    process.exit(1)
  })
}
