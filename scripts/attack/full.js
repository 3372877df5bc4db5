'use strict'

/**
 * Attacks at full size, in separate processes: 1,024 attackers hold their slots, make the emitter hold as much memory as they
 * can, and flood it. Reports the memory that they cause, how soon an honest peer can connect, and how much throughput remains
 * for local emits and for an honest link.
 *
 *   node scripts/attack/full.js                 everything, about two minutes
 *   node scripts/attack/full.js --only flood    one part: memory, places (slots), flood, reading
 *   node scripts/attack/full.js --seconds 5     this long for each flood
 *
 * On Linux with two or more cores, the attacked process and the honest peer share the first core, and the attacker has the
 * second one. The load that an attacker itself puts on the machine must not count. So the base of comparison is a run in which
 * a spinning process takes the attacker's place.
 */

const { fork, spawnSync } = require('node:child_process')
const os = require('node:os')
const path = require('node:path')
const { parseArgs } = require('node:util')

const { FLOODS, HOLDS } = require('./roles')

const MIB = 1024 * 1024

/** Bounds: memory before and after handshakes, time until an honest peer is connected, and remaining throughput and latency. */
const BEFORE = 64 * MIB
const AFTER = 256 * MIB
const IN_WITHIN_MS = 10_000
const LEFT = 0.5
const SLOWER = 3

/** Connections that hold their slots, and connections that flood. */
const PLACES = 1024
const FLOODERS = 64

const { values } = parseArgs({ options: { only: { type: 'string' }, seconds: { type: 'string', default: '4' } } })
const pins = process.platform === 'linux' && os.availableParallelism() > 1 && spawnSync('taskset', ['-V']).status === 0
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Starts a process with a role, on a core of its own if possible. */
async function start (role, core, ...args) {
  const child = fork(path.join(__dirname, 'roles.js'), [role, ...args], { stdio: 'inherit' })
  children.add(child)
  if (pins) spawnSync('taskset', ['-a', '-c', '-p', String(core), String(child.pid)])
  let asked = 0
  const waiting = new Map()
  let ready
  const begun = new Promise((resolve) => { ready = resolve })
  child.on('message', (message) => {
    if (message === 'ready') return ready()
    waiting.get(message.id)(message.answer)
    waiting.delete(message.id)
  })
  child.on('exit', () => children.delete(child))
  if (role !== 'spinning') await begun
  // Pins the threads that were created in the meantime.
  if (pins) spawnSync('taskset', ['-a', '-c', '-p', String(core), String(child.pid)])
  return {
    ask: (what, about) => new Promise((resolve) => {
      waiting.set(++asked, resolve)
      child.send({ id: asked, what, about })
    }),
    end: () => child.kill('SIGKILL')
  }
}

const children = new Set()
const faults = []

function report (what, value, holds) {
  console.log(`${holds ? 'ok   ' : 'FAULT'} ${what}: ${value}`)
  if (!holds) faults.push(what)
}

const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`

/** Measures the memory that attackers cause, each kind of attack in a fresh process. */
async function memory () {
  for (const name of Object.keys(HOLDS)) {
    const victim = await start('attacked', 0)
    const attacker = await start('attacking', 1, await victim.ask('port'))
    // The memory of a first link and a first frame is not counted.
    await attacker.ask('hold', ['a place', 1])
    await attacker.ask('drop')
    await victim.ask('memory')
    const base = await victim.ask('memory')
    const left = await attacker.ask('hold', [name, PLACES])
    const most = await victim.ask('memory')
    const bound = name.includes('without a handshake') ? BEFORE : AFTER
    report(`memory that ${PLACES} strangers cause who hold ${name}`, `${mib(most - base)} (${left} connections left)`, most - base <= bound)
    attacker.end()
    victim.end()
  }
}

/** Measures how soon an honest peer can connect while all slots are held. */
async function places () {
  for (const name of ['a place', 'a place as 1.x has it']) {
    const victim = await start('attacked', 0)
    const port = await victim.ask('port')
    const attacker = await start('attacking', 1, port)
    await attacker.ask('hold', [name, PLACES + 64])
    const began = Date.now()
    const peer = await start('honest', 0, port)
    const took = Date.now() - began
    report(`an honest peer gets in while strangers hold ${name} each`, `${took} ms, its process included; ${await victim.ask('peers')} links`, took <= IN_WITHIN_MS)
    for (const each of [peer, attacker, victim]) each.end()
  }
}

/** Measures local emits and an honest link for some seconds. */
async function measured (victim, peer, seconds) {
  await victim.ask('begin')
  await sleep(500)
  await peer.ask('begin')
  await sleep(seconds * 1000)
  const link = await peer.ask('end')
  const emits = await victim.ask('end')
  await sleep(300)
  return { emits, link }
}

/** Measures what is left to local emits and to an honest link of another address while strangers do something. */
async function beside (what, order, about) {
  const seconds = Number(values.seconds)
  const victim = await start('attacked', 0)
  const port = await victim.ask('port')
  const peer = await start('honest', 0, port)
  await measured(victim, peer, 1)
  const busy = await start('spinning', 1)
  const base = await measured(victim, peer, seconds)
  busy.end()
  const attacker = await start('attacking', 1, port)
  await attacker.ask(order, about)
  const under = await measured(victim, peer, seconds)
  const moved = await attacker.ask('drop')
  for (const [which, was, is] of [['local emits', base.emits, under.emits], ['an honest link', base.link, under.link]]) {
    const [left, slower] = [is.perSecond / was.perSecond, is.p99 / was.p99]
    const figures = `${is.perSecond} of ${was.perSecond}/s (${left.toFixed(2)}), p99 ${is.p99.toFixed(1)} of ${was.p99.toFixed(1)} ms (${slower.toFixed(2)})`
    report(`${which} while ${FLOODERS} strangers ${what} (${mib(moved)})`, figures, left >= LEFT && slower <= SLOWER)
  }
  for (const each of [attacker, peer, victim]) each.end()
}

/** Strangers who send. */
async function flood () {
  for (const name of Object.keys(FLOODS)) await beside(`send ${name}`, 'flood', [name, FLOODERS])
}

/** Strangers who only read. */
async function reading () {
  await beside('read the whole log again and again', 'read', FLOODERS)
}

async function main () {
  console.log(pins ? 'attacked and honest processes on core 0, attackers on core 1' : 'no cores of their own: figures of floods say little')
  const parts = { memory, places, flood, reading }
  for (const [name, part] of Object.entries(parts)) if (values.only === undefined || values.only === name) await part()
  if (faults.length > 0) console.log(`${faults.length} bounds are not held`)
  process.exitCode = faults.length > 0 ? 1 : 0
}

main().finally(() => { for (const child of children) child.kill('SIGKILL') })
