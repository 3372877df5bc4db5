'use strict'

const net = require('node:net')
const { statfsSync } = require('node:fs')
const { forJson, forTerminal } = require('../escape')
const { EXIT, explain } = require('../exit')
const { count, size } = require('../format')
const { LINKS, targets } = require('../links')
const options = require('../options')
const { probe } = require('../probe')
const { kindOf } = require('../store')

/** Free space below which a store is about to be in trouble. */
const LITTLE_SPACE = 256 * 1024 * 1024

module.exports = {
  name: 'doctor',
  summary: 'check this installation, a store, a port, a peer',
  usage: ['doctor [--db DIR [--deep]] [--port PORT [--host HOST]] [--connect HOST:PORT]... [--json]'],
  description: [
    'Reports the versions of hyperemitter, Node.js and the system, whether the addon loads and which optional packages are there. With --db it opens the store and looks at its health, with --port it tries to listen, with --connect (or --target-port) it tells whether a peer is there and what it speaks. Nothing is replicated and nothing is changed.'
  ],
  operands: [],
  options: {
    db: { type: 'string', value: 'DIR', help: 'a store to look at' },
    deep: { type: 'boolean', help: 'recompute the whole store, as hypem verify does' },
    ...LINKS,
    json: { type: 'boolean', help: 'as one JSON object: ok, checks' }
  },
  exits: [['3', 'a check failed']],
  examples: [['Why do these two not talk?', 'hypem doctor --connect other.example.org:1234']],
  async run (context, values) {
    const port = options.port(values, 'port')
    const peers = targets(values)
    const checks = []
    const check = async (name, body) => {
      let result
      try {
        result = { ok: true, detail: await context.or(body()) }
      } catch (error) {
        if (context.signal.aborted) throw error
        result = { ok: false, detail: explain(error) }
      }
      checks.push({ name, ...result })
      if (!values.json) await context.print(line(context, checks[checks.length - 1]))
    }
    await check('hyperemitter', async () => require('../../../package.json').version)
    await check('node', async () => node())
    await check('system', async () => system())
    await check('addon', async () => addon(context))
    await check('classic-level', async () => optional('classic-level', 'LevelDB folders of 1.x'))
    await check('@viz-js/viz', async () => optional('@viz-js/viz', 'hypem graph --format svg'))
    if (values.db !== undefined) await check('store', () => store(context, values))
    if (port !== undefined) await check(`port ${port}`, () => canListen(port, values.host ?? 'localhost'))
    for (const { host, port } of peers) await check(`peer ${host}:${port}`, () => peer(host, port))
    const ok = checks.every((each) => each.ok)
    if (values.json) await context.print(forJson({ ok, checks }, 2) + '\n')
    return ok ? EXIT.OK : EXIT.FOUND
  }
}

function line ({ paint }, { name, ok, detail }) {
  return `${paint(ok ? 'green' : 'red', ok ? 'ok  ' : 'FAIL')}  ${forTerminal(name).padEnd(14)} ${forTerminal(detail)}\n`
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

/** A store in memory shows that the addon works. */
async function addon (context) {
  const hyper = await context.open(undefined, null)
  await hyper.append('doctor', Buffer.from('?'))
  await hyper.verify()
  await hyper.close()
  return 'works'
}

/** Not being there is no failure. */
async function optional (name, purpose) {
  try {
    await import(name)
    return 'there'
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    return `not installed (needed for ${purpose})`
  }
}

async function store (context, { db, deep }) {
  const hyper = await context.open(db, null, { mustExist: true })
  const { change, logs, heads, sizes } = await hyper.stats()
  if (deep) {
    const bar = context.onProgress('verifying')
    await hyper.verify(bar)
    bar.end()
  }
  await hyper.close()
  const { bavail, bsize } = statfsSync(db)
  const free = bavail * bsize
  const text = `${kindOf(db)}, ${count(change)} events, ${logs.length} logs, ${heads} heads, ${size(sizes.data + sizes.index)}, ${size(free)} free${deep ? ', every key and link is right' : ''}`
  if (free < LITTLE_SPACE) throw new Error(`little space is left: ${text}`)
  return text
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

async function peer (host, port) {
  const { protocol, live, address } = await probe(port, host)
  if (protocol === null) throw new Error(`something answers at ${address}, but it is no emitter`)
  return `an emitter of ${protocol} at ${address}${live ? '' : ', which does not stay live'}`
}
