'use strict'

// 1.3.0's replication has defects that a peer must live with (docs/design/wire.md, "With a 1.x peer"). Each test provokes one with real 1.3.0
// processes.

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const path = require('node:path')
const { test } = require('node:test')
const { start, converge, range } = require('./cluster')

const LIMIT = { timeout: 240000 }
/** Live events with a 1.3.0 peer, which handles one or two thousand per second; the long form uses 200,000. */
const LIVE = Number(process.env.HYPER_INTEROP_EVENTS) || 3000

/** Events emitted at once. */
const STEP = 500

/** From this many events on, memory per event is larger than the noise of its measurement. */
const MANY = 100000

/** Live events from `ours` to `other`, in six blocks; bytes resident outside of JavaScript's heap after each. */
async function live (ours, other) {
  await other.listen()
  await ours.connect(other)
  const block = Math.ceil(LIVE / 6)
  const memory = []
  for (let i = 0; i < 6; i++) {
    for (let from = i * block; from < (i + 1) * block; from += STEP) await ours.emit(from + 1, Math.min(from + STEP, (i + 1) * block))
    await Promise.all([ours, other].map((peer) => peer.call('has', { count: (i + 1) * block })))
    memory.push(await ours.call('memory'))
  }
  await converge([other, ours], range('new', 6 * block))
  return memory
}

/** Bytes per event of the last four blocks. */
const perEvent = (memory) => (memory[5] - memory[1]) / (LIVE * 4 / 6)
const inMegabytes = (memory) => memory.map((bytes) => Math.round(bytes / 1e6)).join(', ')

test('although 1.3.0 echoes everything, nothing is stored or heard twice, and memory does not grow', { timeout: 240000 + LIVE * 40 }, async (t) => {
  const ours = await start(t, 'new', { which: 'new', store: 'embedded' })
  const memory = await live(ours, await start(t, 'old', { which: 'old', store: 'memdb' }))
  t.diagnostic(`${LIVE} live events: ${inMegabytes(memory)} MB`)
  const { peers: [peer] } = await ours.call('stats')
  assert.ok(peer.nodesIn > LIVE / 2, `the echo came: ${JSON.stringify(peer)}`)
  if (LIVE < MANY) return
  // Filters and caches of a new store grow as well. With a peer that echoes nothing, only they grow.
  const alone = await start(t, 'new', { which: 'new', store: 'embedded' })
  const control = await live(alone, await start(t, 'other', { which: 'new', store: 'memory' }))
  t.diagnostic(`without echo: ${inMegabytes(control)} MB`)
  // A remembered echo would take 300 bytes or more; two equal runs differ by up to 80.
  const stays = perEvent(memory) - perEvent(control)
  t.diagnostic(`${Math.round(stays)} bytes stay per echo`)
  assert.ok(stays < 150, `${stays} bytes stay per echo`)
})

test('a link that is half dead because 1.3.0 receives from two sources is detected and renewed, and all peers converge', LIMIT, async (t) => {
  const [left, right] = await Promise.all(['left', 'right'].map((name) => start(t, name, { which: 'new', store: 'memory' })))
  const old = await start(t, 'old', { which: 'old', store: 'memdb' })
  await left.listen()
  await right.listen()
  await left.emit(1, 400)
  await right.connect(left)
  await converge([left, right], range('left', 400))
  await Promise.all([old.connect(left), old.connect(right)])
  await Promise.all([left, right, old].map((peer) => peer.emit(peer === left ? 401 : 1, peer === left ? 420 : 20)))
  const all = [...range('left', 420), ...range('right', 20), ...range('old', 20)]
  await converge([left, right, old], all)
  // When `left` is gone, events of `old` reach `right` only over their own link.
  await left.kill()
  await Promise.all([old.emit(21, 40), right.emit(21, 40)])
  await converge([old, right], [...range('left', 420), ...range('right', 40), ...range('old', 40)])
})

for (const dialler of ['old', 'new']) {
  test(`logs that grow during the catch-up make 1.3.0 loop or stall (${dialler} dials): the pair converges`, LIMIT, async (t) => {
    const third = await start(t, 'third', { which: 'old', store: 'memdb' })
    const old = await start(t, 'old', { which: 'old', store: 'memdb' })
    const ours = await start(t, 'new', { which: 'new', store: 'memory' })
    await third.listen()
    await old.connect(third)
    await Promise.all([old.emit(1, 150), third.emit(1, 150)])
    await converge([old, third], [...range('old', 150), ...range('third', 150)])
    const [from, to] = dialler === 'old' ? [old, ours] : [ours, old]
    await to.listen()
    // Both logs go on growing, each linking to the other, while the link is set up.
    const growing = [old.emit(151, 350), third.emit(151, 350), ours.emit(1, 100)]
    await from.connect(to)
    await Promise.all(growing)
    await converge([old, third, ours], [...range('old', 350), ...range('third', 350), ...range('new', 100)])
  })
}

test('a 2.x peer between two 1.3.0 peers relays duplicates, which 1.3.0 does not, and the chain converges', LIMIT, async (t) => {
  const past = { tag: 'past', count: 30 }
  const [first, last] = await Promise.all(['first', 'last'].map((name) => start(t, name, { which: 'old', store: 'memdb', past })))
  const middle = await start(t, 'middle', { which: 'new', store: 'memdb', past })
  await middle.listen()
  await Promise.all([first, last].map((peer) => peer.connect(middle)))
  await Promise.all([first, middle, last].map((peer) => peer.emit(1, 40)))
  await converge([first, middle, last], [...range('past', 30), ...['first', 'middle', 'last'].flatMap((tag) => range(tag, 40))])
})

test('a 1.3.0 peer that stops reading uses no memory here, and gets everything once it reads again', LIMIT, async (t) => {
  const old = await start(t, 'old', { which: 'old', store: 'memdb' })
  const ours = await start(t, 'new', { which: 'new', store: 'embedded' })
  const witness = await start(t, 'witness', { which: 'new', store: 'memory' })
  await ours.listen()
  await old.connect(ours)
  await witness.connect(ours)
  await ours.emit(1, 10)
  await converge([old, ours, witness], range('new', 10))
  old.pause()
  await ours.emit(11, 4000)
  await converge([ours, witness], range('new', 4000))
  old.resume()
  await converge([old, ours, witness], range('new', 4000))
})

for (const [what, name, payload] of [
  ['a name of Object.prototype', 'constructor', '00'],
  ['an EventPeer without addresses', 'EventPeer', '0a0178']
]) {
  test(`${what} kills a 1.3.0 process: it never gets one from us, and what comes before it arrives`, LIMIT, async (t) => {
    const test1 = (num) => ['Test1', Buffer.from([0x0a, 1, 0x70, 0x10, num]).toString('hex')]
    const script = path.join(__dirname, 'hyperlog-peer.js')
    const source = spawn(process.execPath, ['--no-deprecation', script, JSON.stringify([test1(1), test1(2), [name, payload], test1(3)])])
    t.after(() => source.kill('SIGKILL'))
    const [port] = await once(source.stdout, 'data')
    const ours = await start(t, 'new', { which: 'new', store: 'memory' })
    const beside = await start(t, 'beside', { which: 'new', store: 'memory' })
    const old = await start(t, 'old', { which: 'old', store: 'memdb' })
    await ours.listen()
    await ours.call('connect', { port: Number(port) })
    await beside.connect(ours)
    await converge([ours, beside], range('p', 3))
    await old.connect(ours)
    await converge([old], range('p', 2))
    const { statuses } = await ours.call('report')
    assert.ok(statuses.some((status) => status.includes(name)), `status names the event: ${statuses}`)
    assert.equal(old.child.exitCode, null, '1.3.0 lives')
  })
}
