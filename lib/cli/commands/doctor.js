'use strict'

const net = require('node:net')
const { statfsSync } = require('node:fs')
const { setTimeout: sleep } = require('node:timers/promises')
const { forJson, forTerminal } = require('../escape')
const { EXIT, explain } = require('../exit')
const { forks, stuckLogs } = require('../forks')
const { counted, count, size } = require('../format')
const { LINKS, targets } = require('../links')
const options = require('../options')
const { installCommand, locate } = require('../packages')
const { probe } = require('../probe')
const { kindOf } = require('../store')

/** Free space below which a store is about to be in trouble. */
const LITTLE_SPACE = 256 * 1024 * 1024

/** How many of the newest events are read as a quick check of a store: a crash affects the newest ones. */
const NEWEST = 1000

/** How long, in milliseconds, a peer may take after its handshake to refuse the link with a reason. */
const SECOND_THOUGHTS_MS = 1000

module.exports = {
  name: 'doctor',
  summary: 'find out what is wrong with an installation, a store, a port, a peer',
  usage: ['doctor [DB] [--deep] [--port PORT [--host HOST]] [--connect HOST:PORT]... [--json]'],
  description: [
    'Prints one line per finding: ok, FAIL, or note (worth knowing, but not a fault). The first lines show the versions of hyperemitter, Node.js and the system, whether the native addon loads, and which optional packages are installed.',
    'With DB it opens the store, reads its newest events, names logs of which the store holds several versions, or of which peers held another version when its emitter last had links, and checks whether the peers that the store remembers can be reached. With --port it tries to listen. With --connect it connects to a peer from an empty store in memory, and says which protocol the peer speaks, or why no link is established. Nothing is changed, here or at the peer.'
  ],
  operands: [{ name: 'DB', value: 'DIR', optional: true }],
  options: {
    db: { type: 'string', value: 'DIR', help: 'the same as DB' },
    deep: { type: 'boolean', help: 'check every event of the store, as hypem verify does' },
    ...LINKS,
    json: { type: 'boolean', help: 'print one JSON object: ok and checks. Each check has name, ok, note and detail; a failed one also has its code, and the reason why a link ended' }
  },
  exits: [['3', 'something is wrong: at least one line says FAIL']],
  examples: [
    ['Check a store', 'hypem doctor db'],
    ['Why can these two not connect?', 'hypem doctor --connect other.example.org:1234']
  ],
  async run (context, values, [operand]) {
    const db = operand ?? values.db
    const port = options.port(values, 'port')
    const peers = targets(values)
    const checks = []
    const check = async (name, body, { optional = false } = {}) => {
      let result
      try {
        const found = await context.or(body())
        result = typeof found === 'string' ? { ok: true, note: false, detail: found } : { ok: true, note: true, detail: found.note }
      } catch (error) {
        if (context.signal.aborted) throw error
        result = { ok: optional, note: optional, detail: explain(error), ...(error.code && { code: error.code }), ...(error.reason && { reason: error.reason }) }
      }
      checks.push({ name, ...result })
      if (!values.json) await context.print(line(context, checks[checks.length - 1]))
      return result
    }
    await check('hyperemitter', async () => require('../../../package.json').version)
    await check('node', async () => node())
    await check('system', async () => system())
    await check('addon', () => addon(context))
    await check('classic-level', async () => optional('classic-level', 'LevelDB folders of 1.x'))
    await check('@viz-js/viz', async () => optional('@viz-js/viz', 'hypem graph --format svg'))
    if (db !== undefined) {
      let [known, forked, stuck] = [[], [], []]
      await check('store', async () => {
        const found = await store(context, db, values.deep)
        known = found.known
        forked = found.forked
        stuck = found.stuck
        return found.text
      })
      for (const text of stuck) await check('stuck log', async () => ({ note: text }))
      for (const text of forked) await check('forked log', async () => ({ note: text }))
      for (const { host, port } of known) await check(`remembered peer ${host}:${port}`, () => greeting(host, port), { optional: true })
    }
    if (port !== undefined) await check(`port ${port}`, () => canListen(port, values.host ?? 'localhost'))
    for (const peer of peers) await check(`peer ${peer.host}:${peer.port}`, () => link(context, values, peer))
    const ok = checks.every((each) => each.ok)
    if (values.json) await context.print(forJson({ ok, checks }, 2) + '\n')
    return ok ? EXIT.OK : EXIT.FOUND
  }
}

function line ({ paint }, { name, ok, note, detail }) {
  const mark = note ? paint('yellow', 'note') : ok ? paint('green', 'ok  ') : paint('red', 'FAIL')
  return `${mark}  ${forTerminal(name).padEnd(14)} ${forTerminal(detail)}\n`
}

function node () {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const { engines } = require('../../../package.json')
  const [needMajor, needMinor] = engines.node.match(/\d+/g).map(Number)
  if (major < needMajor || (major === needMajor && minor < needMinor)) {
    throw new Error(`${process.version}, but ${engines.node} is needed`)
  }
  return `${process.version}, Node-API ${process.versions.napi}`
}

function system () {
  const libc = process.platform !== 'linux' ? '' : process.report.getReport().header.glibcVersionRuntime ? ' glibc' : ' musl'
  return `${process.platform} ${process.arch}${libc}`
}

/** Checks with a store in memory that the addon works. */
async function addon (context) {
  const hyper = await context.open(undefined, null)
  await hyper.append('doctor', Buffer.from('?'))
  await hyper.verify()
  await hyper.close()
  return 'works'
}

/** Checks for an optional package. It is no failure if it is missing. */
function optional (name, purpose) {
  return locate(name) === undefined ? { note: `not installed (needed for ${purpose}); to install it: ${installCommand(name)}` } : 'installed'
}

async function store (context, db, deep) {
  const hyper = await context.open(db, null, { mustExist: true, readOnly: true })
  const { change, logs, heads, sizes, known, stuckBefore } = await hyper.stats()
  await hyper.heads()
  let read = 0
  for await (const event of hyper.read({ since: Math.max(0, change - NEWEST), raw: true })) read += event.change > 0 ? 1 : 0
  if (deep) {
    const bar = context.onProgress('verifying')
    await hyper.verify(bar)
    bar.end()
  }
  const forked = await forks(hyper, logs)
  const stuck = await stuckLogs(hyper, stuckBefore)
  await hyper.close()
  const { bavail, bsize } = statfsSync(db)
  const free = bavail * bsize
  const checked = deep ? 'every key and link is right' : `the newest ${count(read)} can be read (--deep checks all)`
  const text = `${kindOf(db)}, ${counted(change, 'event')}, ${counted(logs.length, 'log')}, ${counted(heads, 'head')}, ${size(sizes.data + sizes.index)}, ${size(free)} free, ${checked}`
  if (free < LITTLE_SPACE) throw new Error(`little space is left: ${text}`)
  return { text, known, forked, stuck }
}

function canListen (port, host) {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.on('error', reject)
    server.listen(port, host, () => {
      const { address } = server.address()
      server.close(() => resolve(`free at ${address}`))
    })
  })
}

/** Finds out what answers at an address, by its first frame. */
async function greeting (host, port) {
  const { protocol, live, address } = await probe(port, host)
  if (protocol === null) throw new Error(`something answers at ${address}, but it is not an emitter, or it accepts only encrypted links; in that case, give --identity`)
  return `an emitter of ${protocol} at ${address}${live ? '' : ', which does not stay live'}`
}

/** Tries whether a link to a peer is established, and stays, with an empty store in memory. */
async function link (context, values, { host, port, key }) {
  // A peer that requires encryption does not answer a plain handshake.
  const found = values.identity === undefined ? await greeting(host, port) : `${host}:${port}`
  const hyper = await context.open(undefined, null, { trust: values })
  const ended = new Promise((resolve, reject) => {
    const refused = ({ reason, code, message, told }) => reject(Object.assign(
      new Error(`${found}; the link ended (${reason}${told ? ', said the peer' : ''}): ${message}`), { code, reason }))
    hyper.status.on('disconnected', refused)
    hyper.status.on('connectionError', (error) => reject(Object.assign(new Error(`${found}, but no link is established: ${explain(error)}`), { code: error.code })))
  })
  ended.catch(() => {})
  let secured
  hyper.status.on('connected', ({ security, publicKey }) => { secured = publicKey === null ? security : `${security}, ${publicKey}` })
  try {
    await Promise.race([ended, hyper.connect(port, host, { key })])
    const synced = new Promise((resolve) => hyper.status.once('synced', resolve))
    await Promise.race([ended, synced, sleep(SECOND_THOUGHTS_MS)])
  } finally {
    hyper.status.removeAllListeners('disconnected').removeAllListeners('connectionError')
    await hyper.close()
  }
  return `${found}; a link stands (${secured})`
}
