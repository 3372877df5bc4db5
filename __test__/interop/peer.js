'use strict'

// One emitter in a process of its own, driven over IPC: hyperemitter 1.3.0 ('old') or this module ('new'). Both are used through the
// same calls; only the require differs.

const { createRequire } = require('node:module')
const path = require('node:path')

const oracle = createRequire(path.join(__dirname, '../oracle/package.json'))
const SCHEMA = 'message Test1 { optional string foo = 1; required int32 num = 2; }'
const modules = { old: () => oracle('hyperemitter'), new: () => require('../..') }

let emitter
/**
 * Every event in the store's order, and as listeners heard them: the numbers of each tag. Numbers, so that a long run
 * measures the emitter's memory and not ours.
 */
const stored = {}
const heard = {}
/** Events that came in the order of their tag, with none missing and none twice. */
let inOrder = 0
const statuses = []
let waiting = []
/** Callers that wait for messages of `status`. */
let listening = []

/** Notes an event; the number before it of its tag, or 0. */
function add (seen, { foo, num }) {
  const nums = seen[foo] || (seen[foo] = [])
  return nums.push(num) > 1 ? nums[nums.length - 2] : 0
}

function check () {
  waiting = waiting.filter(({ count, resolve }) => {
    if (inOrder < count) return true
    resolve()
    return false
  })
}

/** Notes what `status` said. */
function note (text) {
  statuses.push(text)
  listening = listening.filter(({ words, resolve }) => !words.test(text) || resolve())
}

function openStore (kind, dir) {
  if (kind === 'memdb') return oracle('memdb')()
  if (kind === 'leveldb') return oracle('levelup')(dir, { db: oracle('leveldown') })
  if (kind === 'embedded') return dir
  return ':memory:'
}

function ready (instance) {
  return new Promise((resolve, reject) => {
    instance.status.once('ready', resolve)
    instance.status.once('error', reject)
  })
}

function fill (instance, tag, from, to) {
  return new Promise((resolve, reject) => {
    if (from > to) return resolve()
    for (let num = from; num <= to; num++) {
      instance.emit('Test1', { foo: tag, num }, (err) => {
        if (err) reject(err)
        else if (num === to) resolve()
      })
    }
  })
}

const commands = {
  // `past`: events that 1.3.0 writes into the store before it is opened as asked.
  // `trust`: options of this module about identities and rights.
  async open ({ which, store, dir, past, trust }) {
    let db = openStore(store, dir)
    if (past) {
      const before = modules.old()(db, SCHEMA)
      await ready(before)
      await fill(before, past.tag, 1, past.count)
      if (store === 'leveldb') {
        await new Promise((resolve) => before.close(resolve))
        db = openStore(store, dir)
      } else {
        const close = db.close
        db.close = (cb) => cb()
        await new Promise((resolve) => before.close(resolve))
        db.close = close
      }
    }
    if (which === 'old' && store === 'leveldb') await forgetPeers(db)
    emitter = modules[which]()(db, SCHEMA, { reconnectTimeout: 100, ...trust })
    for (const name of ['peerError', 'connectionError', 'error']) emitter.status.on(name, (err) => note(`${name}: ${err && err.message}`))
    emitter.status.on('warning', (err) => note(`warning: ${err.code} ${err.message}`))
    await ready(emitter)
    emitter.on('Test1', (msg) => { add(heard, msg) })
    emitter.stream({ from: 'beginning' }).on('data', ({ name, payload }) => {
      if (name !== 'Test1') return
      const before = add(stored, payload)
      if (payload.num > before) inOrder++
      check()
    })
  },
  emit: ({ tag, from, to }) => fill(emitter, tag, from, to),
  // Batches of this module: events `tag/from` … of `size` each, tagged.
  async batches ({ tag, from, count, size }) {
    for (let first = from; count > 0; count--, first += size) {
      const event = (_, i) => ({ name: 'Test1', payload: { foo: tag, num: first + i }, tags: [`${tag}:${first}`] })
      await emitter.append(Array.from({ length: size }, event))
    }
  },
  // The numbers of each tag, in the store's order, as this module finds them by the tag's own index.
  async tagged ({ tag, first }) {
    const found = []
    for await (const { payload } of emitter.read({ tags: `${tag}:${first}` })) found.push(payload.num)
    return found
  },
  // What the store shows right now.
  async shown () {
    const shown = []
    for await (const { name, payload } of emitter.read()) if (name === 'Test1') shown.push([payload.foo, payload.num])
    return shown
  },
  listen: () => new Promise((resolve, reject) => {
    emitter.listen(0, '127.0.0.1', (err, address) => (err ? reject(err) : resolve(address.port)))
  }),
  // 1.3.0 takes no options.
  connect: ({ port, how }) => new Promise((resolve, reject) => {
    emitter.connect(port, '127.0.0.1', ...how ? [how] : [], (err) => (err ? reject(err) : resolve()))
  }),
  cut ({ port }) {
    const link = emitter._peers[`127.0.0.1:${port}`]
    if (link) link.destroy()
  },
  has: ({ count }) => new Promise((resolve) => {
    waiting.push({ count, resolve })
    check()
  }),
  // Once `status` has said something that the pattern matches.
  says: ({ words }) => new Promise((resolve) => {
    const pattern = new RegExp(words)
    if (statuses.some((status) => pattern.test(status))) resolve()
    else listening.push({ words: pattern, resolve })
  }),
  report: () => ({ stored, heard, statuses }),
  stats: () => emitter.stats(),
  verify: () => emitter.verify(),
  memory () {
    if (global.gc) global.gc()
    const { rss, heapTotal } = process.memoryUsage()
    return rss - heapTotal
  },
  close: () => new Promise((resolve) => emitter.close(() => resolve()))
}

/**
 * 1.3.0 writes inbound links into its record of peers, and crashes at its next start; so the record is deleted, as an
 * operator would.
 */
function forgetPeers (db) {
  return new Promise((resolve) => db.del('!!PEERS!!', () => resolve()))
}

process.on('message', async ({ id, command, args }) => {
  try {
    process.send({ id, result: await commands[command](args) })
  } catch (err) {
    process.send({ id, error: err.stack })
  }
})
process.on('disconnect', () => process.exit(0))
