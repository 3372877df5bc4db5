'use strict'

/**
 * One member of the soak, in a process of its own: `node member.js NAME STORE ROUND_MS`, with a channel to scripts/soak.js. It
 * emits ticks, receives them as a listener and as a reader that keeps its position, and reports its acknowledgements and what
 * its store holds.
 */

const HyperEmitter = require('../..')
const { Ranges } = require('./ranges')

const SCHEMA = 'message tick { required string from = 1; required uint32 n = 2; optional bytes pad = 3; }'

/** Emits in flight: enough for groups, and few enough that a kill loses only the last ones. */
const WINDOW = 64

/** Largest payload; sizes vary below. */
const MAX_PAD_BYTES = 2048

/** The error codes for a full disk. */
const REFUSALS = ['ERR_HYPER_NO_SPACE', 'ERR_HYPER_STORAGE']

const [name, store, round] = process.argv.slice(2)

/** Pause between rounds of emits, in milliseconds: the load is steady, and below what the machine can do. */
const ROUND_MS = Number(round)

const acked = new Ranges()
const refused = new Ranges()
const faults = []
const load = { on: false, count: 0 }

const tell = (message) => { if (process.connected) process.send(message) }
const fault = (text) => { faults.push(`${name}: ${text}`) }

/** Reports ticks of one origin that come twice or out of order. */
function ordered (who) {
  const last = new Map()
  return ({ from, n }) => {
    if (n <= (last.get(from) ?? 0)) fault(`${who} heard ${from} ${n} after ${last.get(from)}`)
    last.set(from, n)
  }
}

async function emit (emitter) {
  const pad = Buffer.alloc(MAX_PAD_BYTES, name)
  while (load.on) {
    const round = []
    for (let each = 0; each < WINDOW; each++) {
      const n = ++load.count
      round.push(emitter.append('tick', { from: name, n, pad: pad.subarray(0, (n * 37) % MAX_PAD_BYTES) }).then(() => acked.add(n), (error) => {
        if (REFUSALS.includes(error.code)) refused.add(n)
        else if (error.code !== 'ERR_HYPER_CLOSED') fault(`emit ${n} failed: ${error.code} ${error.message}`)
      }))
    }
    await Promise.all(round)
    // Everything that this process reports before it is killed must be stored afterwards.
    const { sizes } = await emitter.stats()
    tell({ acked: acked.list, refused: refused.list, bytes: sizes.data + sizes.index })
    await new Promise((resolve) => setTimeout(resolve, ROUND_MS))
  }
}

/**
 * A reader that keeps its position. Over all restarts it must get each event at least once, and exactly once as long as
 * positions can be stored. If the disk is full, it starts again from its position.
 */
async function follow (emitter) {
  for (;;) {
    try {
      const since = await emitter.position('soak') ?? 0
      const check = ordered('the reader')
      for await (const { change, payload } of emitter.read({ since, live: true, names: ['tick'] })) {
        check(payload)
        if (change % WINDOW === 0) await emitter.position('soak', change)
      }
      return
    } catch (error) {
      if (error.code === 'ERR_HYPER_CLOSED') return
      if (!REFUSALS.includes(error.code)) return fault(`the reader ended: ${error.code} ${error.message}`)
      await new Promise((resolve) => setTimeout(resolve, ROUND_MS))
    }
  }
}

/** What the store holds, by origin. */
async function held (emitter) {
  const found = {}
  for await (const { payload } of emitter.read({ names: ['tick'] })) {
    const ranges = found[payload.from] ??= new Ranges()
    if (ranges.has(payload.n)) fault(`${payload.from} ${payload.n} is stored twice`)
    ranges.add(payload.n)
  }
  return Object.fromEntries(Object.entries(found).map(([from, ranges]) => [from, ranges.list]))
}

async function main () {
  const emitter = new HyperEmitter(store, SCHEMA, { dial: false, reconnectTimeout: 100 })
  emitter.status.on('warning', () => {}).on('peerError', () => {}).on('connectionError', () => {})
  await emitter.ready()
  emitter.on('tick', ordered('the listener'))
  follow(emitter)
  const { port } = await emitter.listen(0, '127.0.0.1')
  let work = Promise.resolve()
  const orders = {
    connect: async ({ ports }) => { for (const each of ports) emitter.connect(each, '127.0.0.1').catch(() => {}) },
    load: async () => { load.on = true; work = emit(emitter) },
    rest: async () => { load.on = false; await work; return { acked: acked.list, refused: refused.list, faults } },
    digest: async () => ({ digest: await emitter.digest() }),
    state: async () => {
      const { log, logs, stuck, peers } = await emitter.stats()
      return { log, logs: logs.map(({ log, seq, digest }) => [log, `${seq} ${digest.slice(0, 8)}`]), stuck, links: peers.map(({ state }) => state) }
    },
    held: async () => ({ held: await held(emitter), faults }),
    close: async () => { load.on = false; await work; await emitter.close(); return { acked: acked.list, refused: refused.list, faults } }
  }
  process.on('message', async ({ id, order, ...rest }) => {
    try {
      tell({ id, ...await orders[order](rest) })
    } catch (error) {
      tell({ id, error: `${order}: ${error.message}` })
    }
    if (order === 'close') process.disconnect()
  })
  process.on('disconnect', () => process.exit())
  tell({ port })
}

main().catch((error) => { tell({ error: error.message }); process.exitCode = 1 })
