'use strict'

/** Sealed logs: whose events are stored, who is reported as their author, and what happens to an older store. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { describe, test } = require('node:test')

const { folder } = require('../emitter/helpers')
const { publicKeyOf } = require('../../lib/trust/keys')
const { HOST, HyperEmitter, SCHEMA, hears, make, newKey, refused, secured, told } = require('./helpers')

/** All entries of `T`. */
async function entries (emitter) {
  const found = []
  for await (const entry of emitter.read({ names: ['T'] })) found.push(entry)
  return found
}

/** Resolves to the first `count` entries of `T`, as soon as they are all there. */
async function arrived (emitter, count) {
  const found = []
  for await (const entry of emitter.read({ names: ['T'], live: true })) {
    found.push(entry)
    if (found.length === count) return found
  }
}

/** Links `dialler` to `listener`, each of which lets the other write. */
async function link (dialler, listener, options) {
  await Promise.all([dialler.ready(), listener.ready()])
  if (options === undefined) {
    listener.setPeers({ [dialler.publicKey]: 'write' })
    dialler.setPeers({ [listener.publicKey]: 'write' })
  }
  const { port } = await listener.listen(0, HOST)
  await dialler.connect(port, HOST, options ?? {})
}

describe('sealed logs', () => {
  test('show their author, at other emitters and after a restart', async (t) => {
    const store = path.join(folder(), 'store')
    const a = secured(t)
    const identity = newKey()
    const b = make(t, { identity }, store)
    await link(b, a)
    await hears(b, a, 'T', { num: 1 })
    await hears(a, b, 'T', { num: 2 })
    for (const emitter of [a, b]) {
      assert.deepEqual((await entries(emitter)).map(({ author }) => author), [a.publicKey, b.publicKey])
      // The announcement of where `a` listens is an event, too.
      assert.equal((await emitter.verify()).nodes, 3)
    }
    assert.ok((await b.verify()).seals >= 2)
    await b.close()
    const again = make(t, { identity }, store)
    assert.deepEqual((await entries(again)).map(({ author }) => author), [a.publicKey, b.publicKey])
    await again.append('T', { num: 3 })
    assert.equal((await again.verify()).nodes, 4)
  })

  test('of authors that are not listed are not stored, and all other logs are replicated', async (t) => {
    const a = secured(t)
    const b = secured(t)
    await Promise.all([a.ready(), b.ready()])
    b.setTrust({ authors: [] })
    const left = told(b, 'warning')
    await link(a, b)
    await a.append('T', { num: 1 })
    await hears(a, b, 'T', { num: 2 })
    assert.deepEqual((await entries(b)).map(({ payload }) => payload.num), [2])
    assert.equal((await left).code, 'ERR_HYPER_AUTHOR')
  })

  test('are the only logs that an emitter with an identity stores, unless the user says otherwise', async (t) => {
    const plain = make(t)
    const [strict, open] = [secured(t, { plain: true }), secured(t, { plain: true, unsigned: 'accept' })]
    await plain.append('T', { num: 1 })
    for (const emitter of [strict, open]) {
      const { port } = await emitter.listen(0, HOST)
      await plain.connect(port, HOST)
      await hears(plain, emitter, 'T', { num: 2 })
    }
    for await (const { author, payload } of open.read({ names: ['T'], live: true })) if (author === undefined && payload.num === 1) break
    assert.ok((await entries(strict)).every(({ author }) => author !== undefined))
  })

  test('follow an older log without seals, which others accept as far as it is pinned', async (t) => {
    const store = path.join(folder(), 'store')
    const before = make(t, {}, store)
    for (let num = 0; num < 3; num++) await before.append('T', { num })
    await before.close()

    const after = secured(t, {}, store)
    await after.append('T', { num: 3 })
    const { logs, log } = await after.stats()
    assert.ok(log.startsWith(after.publicKey))
    assert.equal((await after.verify()).nodes, 4)

    const pinned = secured(t, { unsigned: logs.filter((each) => !each.log.startsWith('ed25519-')) })
    await link(pinned, after)
    const found = await arrived(pinned, 4)
    assert.deepEqual(found.map(({ author, payload }) => [author, payload.num]), [[undefined, 0], [undefined, 1], [undefined, 2], [after.publicKey, 3]])
  })

  test('cannot be written without their key, but can be read', async (t) => {
    const store = path.join(folder(), 'store')
    const first = secured(t, {}, store)
    await first.append('T', { num: 1 })
    await first.close()
    const keyless = make(t, {}, store)
    await assert.rejects(keyless.append('T', { num: 2 }), { code: 'ERR_HYPER_IDENTITY' })
    assert.equal((await entries(keyless)).length, 1)
    await keyless.close()
    const rotated = secured(t, {}, store)
    await rotated.append('T', { num: 2 })
    assert.deepEqual((await entries(rotated)).map(({ author }) => author), [first.publicKey, rotated.publicKey])
  })

  test('of a lost key end, and their owner continues under a new one', async (t) => {
    const store = path.join(folder(), 'store')
    const [lost, next] = [newKey(), newKey()]
    const [lostKey, nextKey] = [lost, next].map((key) => publicKeyOf(key))
    const keeper = secured(t)
    const accomplice = secured(t, { peers: { [lostKey]: 'write' } })
    await Promise.all([keeper.ready(), accomplice.ready()])
    keeper.setPeers({ [lostKey]: 'write', [nextKey]: 'write' })
    const { port } = await keeper.listen(0, HOST)
    const how = { key: keeper.publicKey }
    const before = make(t, { identity: lost }, store)
    await before.connect(port, HOST, how)
    await hears(keeper, before, 'T', { num: 1 })
    await before.close()
    const owner = make(t, { identity: next }, store)
    await owner.connect(port, HOST, how)
    await hears(keeper, owner, 'T', { num: 2 })

    keeper.setPeers({ [nextKey]: 'write', [accomplice.publicKey]: 'write' })
    keeper.setTrust({ revoked: { [lostKey]: true } })
    const thief = make(t, { identity: lost })
    await thief.append('T', { num: 66 })
    assert.equal((await refused(thief.connect(port, HOST, how))).code, 'ERR_HYPER_RIGHTS')
    // Nor do they arrive through a peer that may write.
    const { port: there } = await accomplice.listen(0, HOST)
    await thief.connect(there, HOST, { key: accomplice.publicKey })
    await arrived(accomplice, 1)
    accomplice.setPeers({ [lostKey]: 'write', [keeper.publicKey]: 'write' })
    const left = told(keeper, 'warning')
    await accomplice.connect(port, HOST, how)
    assert.equal((await left).code, 'ERR_HYPER_AUTHOR')
    await hears(keeper, owner, 'T', { num: 3 })
    assert.deepEqual((await entries(keeper)).map(({ author, payload }) => [author, payload.num]), [[lostKey, 1], [nextKey, 2], [nextKey, 3]])
  })

  test('of a revoked author stay as they are', async (t) => {
    const a = secured(t)
    const b = secured(t)
    await link(a, b)
    await hears(b, a, 'T', { num: 1 })
    b.setTrust({ revoked: { [a.publicKey]: true } })
    await a.append('T', { num: 2 })
    await hears(a, b, 'T', { num: 3 })
    assert.deepEqual((await entries(b)).map(({ payload }) => payload.num), [1, 3])
  })
})

test('invalid options are refused with a reason', () => {
  const bad = [
    [{ authors: 5 }, /authors/], [{ authors: ['x'] }, /not a public key/], [{ authors: 'peers' }, /authors/],
    [{ unsigned: 'some' }, /unsigned/], [{ unsigned: 5 }, /unsigned/], [{ unsigned: { a: { seq: 1.5, digest: '' } } }, /seq/],
    [{ unsigned: { a: { seq: 1, digest: 'x' } } }, /digest/], [{ revoked: true }, /revoked/], [{ revoked: { x: true } }, /not a public key/]
  ]
  for (const [options, words] of bad) {
    assert.throws(() => new HyperEmitter(undefined, SCHEMA, options),
      (error) => error.code === 'ERR_HYPER_INVALID_ARG' && words.test(error.message), JSON.stringify(options))
  }
})
