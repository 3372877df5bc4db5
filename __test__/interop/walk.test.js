'use strict'

// From an open fleet of 1.3.0 to a closed one, as described in docs/guides/security.md: in three steps, one process at a time,
// while the others continue to emit. The first processes are real 1.3.0 ones, and each keeps its LevelDB database throughout.

const assert = require('node:assert/strict')
const { generateKeyPairSync } = require('node:crypto')
const { test } = require('node:test')

const { publicKeyOf } = require('../../lib/trust/keys')
const { start, converge, range } = require('./cluster')

/** Events that each process emits whenever it is its turn. */
const EACH = 10

/** A fleet, and how many events each of its members has emitted. */
class Fleet {
  constructor (members) {
    this.members = members
    this.emitted = new Map(members.map((member) => [member.name, 0]))
  }

  async emit (members) {
    await Promise.all(members.map((member) => {
      const before = this.emitted.get(member.name)
      this.emitted.set(member.name, before + EACH)
      return member.emit(before + 1, before + EACH)
    }))
  }

  async level (members = this.members) {
    await converge(members, [...this.emitted].flatMap(([name, count]) => range(name, count)))
  }

  /** Restarts one process with these options, while the others emit. It dials them as `how` says. */
  async restart (member, trust, how) {
    const others = this.members.filter((other) => other !== member)
    const meanwhile = this.emit(others)
    await member.call('close')
    await member.kill()
    member.options = { ...member.options, which: 'new', trust }
    await member.start()
    await member.listen()
    for (const other of others) await member.connect(other, how(other))
    await meanwhile
    await this.emit([member])
    await this.level()
  }
}

/**
 * How the established links of a member are secured. (Links to addresses from before another member's restart are still being
 * dialled.)
 */
async function securities (member) {
  const { peers } = await member.call('stats')
  return [...new Set(peers.map(({ security }) => security).filter((security) => security !== null))]
}

test('a fleet of 1.3.0 is closed in three steps, and never stops', { timeout: 600_000 }, async (t) => {
  const members = await Promise.all(['x', 'y', 'z'].map((name) => start(t, name, { which: 'old', store: 'leveldb' })))
  const fleet = new Fleet(members)
  const [x, y, z] = members
  for (const member of members) await member.listen()
  await y.connect(x)
  await z.connect(x)
  await z.connect(y)
  await fleet.emit(members)
  await fleet.level()

  const keys = new Map(members.map(({ name }) => [name, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })]))
  const newcomer = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  const publicKey = ({ name }) => publicKeyOf(keys.get(name))
  const peers = Object.fromEntries([...members.map(publicKey), publicKeyOf(newcomer)].map((key) => [key, 'write']))

  // 1: 2.x, with keys, but open.
  for (const member of members) {
    await fleet.restart(member, { identity: keys.get(member.name), peers, plain: true, unsigned: 'accept' }, () => ({ plain: true }))
  }
  // 2: the keys are pinned.
  for (const member of members) {
    await fleet.restart(member, { identity: keys.get(member.name), peers, plain: true, unsigned: 'accept' }, (other) => ({ key: publicKey(other) }))
  }
  for (const member of members) assert.deepEqual(await securities(member), ['noise'])
  // 3: closed.
  for (const member of members) {
    await fleet.restart(member, { identity: keys.get(member.name), peers }, (other) => ({ key: publicKey(other) }))
  }

  const stranger = await start(t, 'stranger', { which: 'old', store: 'memdb' })
  await stranger.emit(1, 1)
  await stranger.connect(x)
  await x.call('says', { words: 'the option plain does not allow' })
  assert.ok((await x.call('stats')).refusals.insecure >= 1)
  assert.deepEqual(Object.keys((await stranger.call('report')).stored), ['stranger'])

  // A new member gets the history from before there were keys, up to the pins of another member.
  const { logs } = await x.call('stats')
  const older = logs.filter(({ log }) => !log.startsWith('ed25519-'))
  assert.equal(older.length, 3)
  const late = await start(t, 'late', { which: 'new', store: 'embedded', trust: { identity: newcomer, peers, unsigned: older } })
  await late.connect(y, { key: publicKey(y) })
  await fleet.level([...members, late])
  assert.equal((await late.call('verify')).seals > 0, true)
})
