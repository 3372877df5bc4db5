'use strict'

/**
 * A long test of everything together. Members in separate processes emit, listen, read and keep their positions, while links
 * are cut, members are killed, closed and restarted, and a disk becomes full.
 *
 *   npm run soak -- --seconds 3600 [--seed N] [--members N] [--hostile N]
 *
 * At the end it is checked that every store holds all acknowledged events, no refused ones, and none twice; that all digests
 * are equal; and that no process leaks memory, descriptors or threads. Prints a summary; exits with 1 on a violation.
 * `--hostile N` also starts the first N programs of scripts/soak/hostile, with a port of each member as arguments.
 */

const { fork, spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { Ranges } = require('./soak/ranges')
const { Relay } = require('./soak/relay')

/** Size of the disk of the member `small`, and the free space when it is full. */
const DISK_MIB = 512

/** Most events of the whole run, so that they fit on the small disk; and the shortest pause between rounds of emits. */
const MAX_EVENTS = 250_000
const LEAST_ROUND_MS = 50
/** Emits of a round, as in soak/member.js. */
const ROUND = 64

/** Address of hostile programs: another prefix, so that they do not use up the share of honest members. */
const HOSTILE_ADDRESS = process.platform === 'linux' ? '127.0.0.66' : undefined

/**
 * Longest time between disturbances, in milliseconds. In a long run it is longer, so that processes live long enough to show
 * growth.
 */
const DISTURB_MS = 1500
const DISTURBANCES = 800
/** Time between two measurements of the processes, in milliseconds. */
const SAMPLE_MS = 250

/** How long the stores may take to become equal once everything is well, in milliseconds. */
const SETTLE_MS = 120_000

/**
 * The most that a process may grow between the second and the last quarter of its life, not counting a log in memory. It leaves
 * room for changes of the load: threads that wait for the disk come and go with it, and hostile programs may use the memory that
 * is allowed to all strangers together (docs/design/limits.md). In a process that lives for a minute, a leak of 5 MiB or one file
 * per second exceeds it. Sockets of hostile programs also come and go, and are counted only at the end.
 */
const MAX_GAIN = { rss: 128 * 1024 * 1024, files: 24, threads: 16 }
const MAX_GAIN_BY_HOSTILE = 256 * 1024 * 1024

/** Sockets of a member at rest: one for each other member, its port, and some that Node.js uses itself. */
const MAX_SOCKETS_BESIDE = 6

/** Lives with fewer samples are too short to measure growth. */
const MIN_SAMPLES = 40

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' }, hostile: { type: 'string', default: '0' }, members: { type: 'string', default: '4' } } })

/**
 * The members and their stores. `small` has a disk of its own, which is filled and cleared; from the fifth on, stores are
 * alternately in memory and on disk.
 */
const MEMBERS = Array.from({ length: Number(values.members) }, (_, at) => ['disk', 'small', 'memory', 'second'][at] ?? `${at % 2 ? 'disk' : 'memory'}-${at}`)
const roundMs = Math.max(LEAST_ROUND_MS, MEMBERS.length * ROUND * Number(values.seconds) * 1000 / MAX_EVENTS)
const disturbMs = Math.max(DISTURB_MS, 2 * Number(values.seconds) * 1000 / DISTURBANCES)
const HOSTILE = path.join(__dirname, 'soak/hostile')

/** Numbers from 0 to 1 that are the same for the same seed. */
function random (seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const rand = random(Number(values.seed))
const pick = (list) => list[Math.floor(rand() * list.length)]
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const violations = []
const did = { cuts: 0, kills: 0, closes: 0, fills: 0 }
/**
 * What each process of each member reported: `{ acked, refused, kept }`. Events of a memory store are lost with its process.
 */
const told = new Map()
const relays = new Map()
const samples = []

class Member {
  constructor (name, store) {
    this.name = name
    this.store = store
    this.lives = 0
    this.answers = new Map()
    this.orders = 0
  }

  async start () {
    this.life = `${this.name}.${++this.lives}`
    told.set(this.life, { acked: new Ranges(), refused: new Ranges(), lasting: this.store !== ':memory:' })
    this.child = fork(path.join(__dirname, 'soak/member.js'), [this.life, this.store, String(roundMs)])
    const { child } = this
    this.samples = []
    this.bytes = 0
    samples.push({ life: this.life, list: this.samples })
    const port = await new Promise((resolve, reject) => {
      child.on('message', ({ id, port, ...answer }) => {
        this.note(answer)
        if (port) resolve(port)
        if (id === undefined) {
          if (answer.error) reject(new Error(answer.error))
          return
        }
        const { done, fail } = this.answers.get(id)
        this.answers.delete(id)
        answer.error ? fail(new Error(`${this.life}: ${answer.error}`)) : done(answer)
      })
      child.on('exit', (code, signal) => {
        reject(new Error(`${this.life} ended with ${signal ?? code}`))
        for (const { fail } of this.answers.values()) fail(new Error(`${this.life} ended with ${signal ?? code}`))
        this.answers.clear()
        if (!this.expected) violations.push(`${this.life} ended with ${signal ?? code}`)
      })
    })
    this.expected = false
    this.port = port
    // Each member dials those before it in the list, through a relay that stays.
    const ports = MEMBERS.slice(0, MEMBERS.indexOf(this.name)).map((other) => relays.get(`${this.name}-${other}`).port)
    await this.ask('connect', { ports })
    await this.ask('load')
  }

  note ({ acked, refused, bytes, faults = [] }) {
    const mine = told.get(this.life)
    if (bytes !== undefined && this.store === ':memory:') this.bytes = bytes
    if (acked) mine.acked = new Ranges(acked)
    if (refused) mine.refused = new Ranges(refused)
    for (const fault of faults) if (!violations.includes(fault)) violations.push(fault)
  }

  ask (order, rest) {
    return new Promise((resolve, reject) => {
      const id = ++this.orders
      this.answers.set(id, { done: resolve, fail: reject })
      this.child.send({ id, order, ...rest })
    })
  }

  async end (kill) {
    this.expected = true
    this.port = undefined
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    if (kill) this.child.kill('SIGKILL')
    else await this.ask('close')
    await gone
    // Events of a memory store that ended with its process need not be found elsewhere.
    if (this.store === ':memory:') told.get(this.life).lasting = false
  }

  /** How many of the process's descriptors are sockets, and how many are not; on Linux only. */
  descriptors () {
    const of = `/proc/${this.child.pid}/fd`
    const kinds = fs.readdirSync(of).map((fd) => {
      try {
        return fs.readlinkSync(`${of}/${fd}`).startsWith('socket:') ? 'sockets' : 'files'
      } catch {
        // It has been closed meanwhile.
        return 'none'
      }
    })
    return { sockets: kinds.filter((kind) => kind === 'sockets').length, files: kinds.filter((kind) => kind === 'files').length }
  }

  /** What the process uses now; on Linux only. */
  sample () {
    const of = `/proc/${this.child.pid}`
    try {
      this.samples.push({
        rss: Number(fs.readFileSync(`${of}/statm`, 'utf8').split(' ')[1]) * 4096 - this.bytes,
        files: this.descriptors().files,
        threads: fs.readdirSync(`${of}/task`).length
      })
    } catch {
      // The process has just ended, or this is not Linux.
    }
  }
}

/** Makes a small disk at `folder`: a tmpfs, if it can be mounted. */
function smallDisk (folder) {
  fs.mkdirSync(folder)
  if (process.platform !== 'linux' || process.getuid() !== 0) return undefined
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', folder], { stdio: 'ignore' }).status !== 0) return undefined
  const ballast = path.join(folder, 'ballast')
  return {
    fill () {
      const fd = fs.openSync(ballast, 'a')
      try {
        for (const size of [1 << 20, 1 << 12]) {
          const chunk = Buffer.alloc(size)
          try {
            for (;;) if (fs.writeSync(fd, chunk) < size) break
          } catch (error) {
            if (error.code !== 'ENOSPC') throw error
          }
        }
      } finally {
        fs.closeSync(fd)
      }
    },
    clear: () => fs.rmSync(ballast, { force: true }),
    unmount: () => spawnSync('umount', ['-l', folder], { stdio: 'ignore' })
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

/** Checks the growth of each process that lived long enough. Returns how many these were, and the most that one of them gained. */
function checkGrowth () {
  let most = { rss: 0, files: 0, threads: 0 }
  const allowed = Number(values.hostile) > 0 ? { ...MAX_GAIN, rss: MAX_GAIN_BY_HOSTILE } : MAX_GAIN
  const long = samples.filter(({ list }) => list.length >= MIN_SAMPLES)
  for (const { life, list } of long) {
    const quarter = list.length >> 2
    for (const what of Object.keys(allowed)) {
      const gain = median(list.slice(-quarter).map((each) => each[what])) - median(list.slice(quarter, 2 * quarter).map((each) => each[what]))
      most = { ...most, [what]: Math.max(most[what], gain) }
      if (gain > allowed[what]) violations.push(`${life}: ${what} grew by ${gain}`)
    }
  }
  return { ...most, measured: long.length }
}

/** Checks that all members have closed the links of hostile programs, which have ended. */
async function checkSockets (members) {
  const most = MEMBERS.length - 1 + MAX_SOCKETS_BESIDE
  const has = (member) => member.descriptors().sockets
  for (const end = Date.now() + SETTLE_MS; Date.now() < end && members.some((member) => has(member) > most);) await wait(200)
  for (const member of members) if (has(member) > most) violations.push(`${member.life} still has ${has(member)} sockets, more than ${most}`)
}

/** Checks that a store holds everything that was acknowledged, and nothing that was refused. */
function checkHeld (name, held) {
  for (const [life, { acked, refused, lasting }] of told) {
    const found = new Ranges(held[life] ?? [])
    const lost = lasting ? acked.split(found).only : []
    const wrong = refused.split(found).both
    if (lost.length > 0) violations.push(`${name} lacks ${lost.length} acknowledged events of ${life}, the first ${lost[0]}`)
    if (wrong.length > 0) violations.push(`${name} has ${wrong.length} refused events of ${life}, the first ${wrong[0]}`)
  }
}

async function disturb (members, disk) {
  const choice = rand()
  if (choice < 0.6) {
    did.cuts += pick([...relays.values()]).relay.cut()
  } else if (choice < 0.85 || !disk) {
    const member = pick(members)
    const kill = rand() < 0.6
    await member.end(kill)
    did[kill ? 'kills' : 'closes']++
    await wait(rand() * disturbMs)
    await member.start()
  } else {
    disk.fill()
    did.fills++
    await wait(rand() * disturbMs)
    disk.clear()
  }
}

async function settle (members) {
  for (const end = Date.now() + SETTLE_MS; ;) {
    const digests = await Promise.all(members.map(async (member) => (await member.ask('digest')).digest))
    if (new Set(digests).size === 1) return true
    if (Date.now() > end) return false
    await wait(200)
  }
}

/** Prints why the stores differ: the logs that differ, what each member holds of them, and the state of its links. */
async function tellDifferences (members) {
  const states = await Promise.all(members.map((member) => member.ask('state')))
  const owners = new Map(states.map(({ log }, at) => [log, members[at].name]))
  const stuck = states.flatMap(({ stuck }, at) => stuck.map(({ log, seq, behind }) => ({ at, log, seq, behind })))
  const held = states.map(({ logs }) => new Map(logs))
  const all = new Set(held.flatMap((logs) => [...logs.keys()]))
  for (const log of all) {
    if (new Set(held.map((logs) => logs.get(log))).size === 1) continue
    const who = held.map((logs, at) => `${members[at].name} ${logs.get(log) ?? '-'}`)
    const where = stuck.filter((each) => each.log === log).map(({ at, seq, behind }) => `${members[at].name} from ${seq}, ${behind} behind`)
    console.error(`log ${log} (${owners.get(log) ?? 'of nobody now'}): ${who.join(', ')}; stuck: ${where.join(', ') || 'nowhere'}`)
  }
  states.forEach(({ links }, at) => console.error(`links of ${members[at].name}: ${links.join(' ')}`))
}

async function main () {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-soak-'))
  const disk = smallDisk(path.join(folder, 'disk'))
  if (!disk) console.log('no small disk here (it takes Linux and root): disks are not filled')
  const stores = { disk: path.join(folder, 'one'), second: path.join(folder, 'two'), small: path.join(folder, 'disk', 'store'), memory: ':memory:' }
  const storeOf = (name) => stores[name] ?? (name.startsWith('memory') ? ':memory:' : path.join(folder, name))
  const members = MEMBERS.map((name) => new Member(name, storeOf(name)))
  const hostile = []
  const gates = members.map((member) => new Relay(() => member.port, HOSTILE_ADDRESS))
  let sampling
  try {
    for (const [at, member] of members.entries()) {
      for (const other of members.slice(0, at)) {
        const relay = new Relay(() => other.port)
        relays.set(`${member.name}-${other.name}`, { relay, port: await relay.listen() })
      }
    }
    for (const member of members) await member.start()
    const programs = fs.existsSync(HOSTILE) ? fs.readdirSync(HOSTILE).sort() : []
    const ports = await Promise.all(gates.map((gate) => gate.listen()))
    for (const program of programs.slice(0, Number(values.hostile))) {
      hostile.push(spawn(process.execPath, [path.join(HOSTILE, program), ...ports.map(String)], { stdio: 'ignore' }))
    }
    sampling = setInterval(() => members.forEach((member) => member.sample()), SAMPLE_MS)

    for (const end = Date.now() + Number(values.seconds) * 1000; Date.now() < end;) {
      await wait(rand() * disturbMs)
      await disturb(members, disk)
    }
    for (const child of hostile) child.kill('SIGKILL')
    for (const member of members) await member.ask('rest')
    if (!await settle(members)) {
      violations.push(`the stores still differ after ${SETTLE_MS / 1000} s`)
      await tellDifferences(members)
    }
    let events = 0
    for (const member of members) {
      const { held } = await member.ask('held')
      checkHeld(member.name, held)
      events = Object.values(held).reduce((sum, list) => sum + new Ranges(list).size, 0)
    }
    const gained = checkGrowth()
    if (process.platform === 'linux') await checkSockets(members)
    for (const member of members) await member.end(false)
    console.log(`${values.seconds} s, seed ${values.seed}: ${events} events in ${told.size} lives of ${MEMBERS.length} members; ` +
      `${did.cuts} links cut, ${did.kills} kills, ${did.closes} closes, ${did.fills} full disks`)
    console.log(`most that one of ${gained.measured} processes gained: ${(gained.rss / 2 ** 20).toFixed(1)} MiB, ${gained.files} files, ${gained.threads} threads`)
  } finally {
    clearInterval(sampling)
    for (const child of hostile) child.kill('SIGKILL')
    for (const member of members) {
      member.expected = true
      member.child?.kill('SIGKILL')
    }
    for (const relay of [...gates, ...[...relays.values()].map(({ relay }) => relay)]) relay.close()
    disk?.unmount()
    fs.rmSync(folder, { recursive: true, force: true })
  }
  for (const violation of violations.slice(0, 20)) console.error(violation)
  console.log(violations.length === 0 ? 'nothing lost, doubled, leaked or silent' : `${violations.length} violations`)
  process.exitCode = violations.length === 0 ? 0 : 1
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
