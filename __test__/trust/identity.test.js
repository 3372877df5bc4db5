'use strict'

/** Emitters with an identity: which of them connect, what is refused, and with which messages. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { once } = require('node:events')
const { describe, test } = require('node:test')

const { folder } = require('../emitter/helpers')
const { publicKeyOf } = require('../../lib/trust/keys')
const { HOST, hears, make, newKey, refused, secured, told } = require('./helpers')

/** A key that none of the emitters has. */
const OTHER = publicKeyOf(newKey())

/** The numbers of all `T` events of an emitter. */
async function numbers (emitter) {
  const found = []
  for await (const { payload } of emitter.read({ names: ['T'] })) found.push(payload.num)
  return found
}

describe('an identity', () => {
  test('is a KeyObject, the text of one, or the path of a file, and has one public key', async (t) => {
    const key = newKey()
    const text = key.export({ type: 'pkcs8', format: 'pem' })
    const file = path.join(folder(), 'node.key')
    fs.writeFileSync(file, text)
    const keys = []
    for (const identity of [key, text, file]) {
      const emitter = make(t, { identity })
      await emitter.ready()
      keys.push(emitter.publicKey)
    }
    assert.match(keys[0], /^ed25519-[a-z2-7]{52}$/)
    assert.deepEqual(new Set(keys).size, 1)
    const plain = make(t)
    await plain.ready()
    assert.equal(plain.publicKey, null)
  })

  test('that is not a private Ed25519 key is refused with a reason', (t) => {
    const wrong = [[5, /path of a key file/], ['/no/such/file', /hypem keygen/], [Buffer.from('-----BEGIN PRIVATE KEY-----'), /no private key/]]
    for (const [identity, words] of wrong) {
      assert.throws(() => make(t, { identity }), (error) => error.code === 'ERR_HYPER_INVALID_ARG' && words.test(error.message), String(identity))
    }
    const { generateKeyPairSync } = require('node:crypto')
    assert.throws(() => make(t, { identity: generateKeyPairSync('ed25519').publicKey }), /public key/)
    assert.throws(() => make(t, { identity: generateKeyPairSync('x25519').privateKey }), /x25519/)
  })

  test('is not written to any file of the store', async (t) => {
    const identity = newKey()
    const store = path.join(folder(), 'store')
    const emitter = make(t, { identity }, store)
    await emitter.append('T', { num: 1 })
    await emitter.close()
    const seed = identity.export({ type: 'pkcs8', format: 'der' }).subarray(-32)
    for (const file of fs.readdirSync(store, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())) {
      assert.equal(fs.readFileSync(path.join(file.parentPath ?? file.path, file.name)).indexOf(seed), -1, file.name)
    }
  })
})

describe('a link between two identities', () => {
  test('is encrypted, and each side knows the other', async (t) => {
    const a = secured(t)
    const b = secured(t)
    await Promise.all([a.ready(), b.ready()])
    a.setPeers({ [b.publicKey]: 'write' })
    const { port } = await a.listen(0, HOST)
    const seen = []
    const relay = net.createServer((left) => {
      const right = net.connect(port, HOST)
      left.on('data', (bytes) => { seen.push(bytes); right.write(bytes) })
      right.on('data', (bytes) => { seen.push(bytes); left.write(bytes) })
      left.on('error', () => {}).on('close', () => right.destroy())
      right.on('error', () => {}).on('close', () => left.destroy())
    }).listen(0, HOST)
    t.after(() => relay.close())
    await once(relay, 'listening')
    const connected = told(a, 'connected')
    await b.connect(relay.address().port, HOST, { key: a.publicKey })
    assert.deepEqual([(await connected).publicKey, (await connected).security, (await connected).right], [b.publicKey, 'noise', 'write'])
    assert.deepEqual(await hears(b, a, 'T', { foo: 'a word in confidence', num: 1 }), { foo: 'a word in confidence', num: 1 })
    assert.deepEqual(await hears(a, b, 'T', { foo: 'an answer', num: 2 }), { foo: 'an answer', num: 2 })
    const [peer] = (await b.stats()).peers
    assert.deepEqual([peer.publicKey, peer.security], [a.publicKey, 'noise'])
    const wire = Buffer.concat(seen)
    for (const word of ['a word in confidence', 'an answer', a.publicKey]) assert.equal(wire.indexOf(word), -1, word)
  })

  test('is refused if the key is not listed, before anything about the log is sent', async (t) => {
    const a = secured(t, { peers: { [OTHER]: 'write' } })
    const b = secured(t)
    await a.ready()
    const { port } = await a.listen(0, HOST)
    await a.append('T', { num: 1 })
    const error = await refused(b.connect(port, HOST, { key: a.publicKey }))
    assert.equal(error.code, 'ERR_HYPER_RIGHTS')
    assert.equal((await b.stats()).change, 0)
    assert.ok((await a.stats()).refusals.rights >= 1)
  })

  test('is refused if the listener has another key than the dialler expects', async (t) => {
    const a = secured(t, { peers: () => 'write' })
    const b = secured(t)
    const { port } = await a.listen(0, HOST)
    assert.equal((await refused(b.connect(port, HOST, { key: OTHER }))).code, 'ERR_HYPER_INSECURE')
  })

  test('is never plain if a key was given: not at the first dial, not at a redial, not after a restart', async (t) => {
    const plain = make(t)
    const { port } = await plain.listen(0, HOST)
    const store = path.join(folder(), 'store')
    const identity = newKey()
    const key = OTHER
    let b = make(t, { identity }, store)
    assert.equal((await refused(b.connect(port, HOST, { key }))).code, 'ERR_HYPER_INSECURE')
    await b.append('T', { num: 1 })
    await b.close()
    await plain.close()

    // If the peer has the right key, it is remembered with it.
    const a = secured(t, { peers: () => 'write' })
    await a.ready()
    const address = await a.listen(port, HOST)
    b = make(t, { identity }, store)
    await b.connect(address.port, HOST, { key: a.publicKey })
    await b.close()
    await a.close()
    const impostor = make(t)
    await impostor.listen(port, HOST)
    b = make(t, { identity }, store)
    const error = await told(b, 'connectionError')
    assert.equal(error.code, 'ERR_HYPER_INSECURE')
    assert.equal((await impostor.stats()).change, 1, 'its own announcement')
  })

  test('is replaced by a secure one if a key is given for a peer that was dialled plain, even in an earlier run', async (t) => {
    const identity = newKey()
    const a = secured(t, { peers: () => 'write', plain: true, unsigned: 'accept' })
    await a.ready()
    const { port } = await a.listen(0, HOST)
    const store = path.join(folder(), 'store')
    const security = async (emitter) => (await emitter.stats()).peers.map(({ security }) => security)
    let b = make(t, { identity }, store)
    await b.connect(port, HOST, { plain: true })
    assert.deepEqual(await security(b), ['plain'])
    await b.connect(port, HOST)
    assert.deepEqual(await security(b), ['plain'], 'nothing else was asked for')
    await b.close()
    for (const [how, expected] of [[undefined, 'plain'], [{ key: a.publicKey }, 'noise'], [{ plain: true }, 'plain'], [{}, 'noise']]) {
      b = make(t, { identity, peers: () => 'write' }, store)
      // The peer is remembered with the last one.
      await told(b, 'connected')
      if (how) await b.connect(port, HOST, how)
      assert.deepEqual(await security(b), [expected], JSON.stringify(how))
      await hears(a, b, 'T', { num: 1 })
      await b.close()
    }
    b = make(t, { identity }, store)
    assert.equal((await refused(b.connect(port, HOST, { key: OTHER }))).code, 'ERR_HYPER_INSECURE')
    await b.close()
  })

  test('requires the key of an earlier run if connect does not name one', async (t) => {
    const a = secured(t, { peers: () => 'write' })
    await a.ready()
    const { port } = await a.listen(0, HOST)
    const store = path.join(folder(), 'store')
    const identity = newKey()
    const options = { identity, peers: () => 'write' }
    let b = make(t, options, store)
    await b.connect(port, HOST, { key: a.publicKey })
    await b.close()
    await a.close()
    const impostor = secured(t, { peers: () => 'write' })
    await impostor.listen(port, HOST)
    b = make(t, options, store)
    const error = await refused(b.connect(port, HOST))
    assert.equal(error.code, 'ERR_HYPER_INSECURE')
    assert.ok(error.message.includes(a.publicKey), error.message)
  })

  test('is refused without a byte if the dialler does not know the secret', async (t) => {
    const secret = 'ab'.repeat(32)
    const a = secured(t, { secret })
    await a.ready()
    const { port } = await a.listen(0, HOST)
    const friend = secured(t, { secret: Buffer.from(secret, 'hex') })
    await friend.connect(port, HOST)
    await hears(friend, a, 'T', { num: 1 })
    const stranger = secured(t, { secret: 'cd'.repeat(32) })
    assert.match((await refused(stranger.connect(port, HOST, { key: a.publicKey }))).code, /ERR_HYPER_(INSECURE|CONNECT|ENDED)|ECONNRESET/)
    const socket = net.connect(port, HOST)
    socket.write(Buffer.from([34, 22, 1, ...Buffer.alloc(32)]))
    let bytes = 0
    socket.on('data', (data) => { bytes += data.length }).on('error', () => {})
    await once(socket, 'close')
    assert.equal(bytes, 0)
  })
})

describe('plain links of an emitter with an identity', () => {
  test('are refused unless `plain` allows them, and then have only the right that it gives', async (t) => {
    const a = secured(t)
    await a.ready()
    const { port } = await a.listen(0, HOST)
    const b = make(t)
    assert.match((await refused(b.connect(port, HOST))).code, /ERR_HYPER_INSECURE|ERR_HYPER_ENDED|ECONNRESET/)
    a.setPlain({ from: ['127.0.0.0/8'], can: 'read' })
    const c = make(t)
    await c.connect(port, HOST)
    await hears(c, a, 'T', { num: 7 })
    await c.append('T', { num: 8 })
    await hears(c, a, 'U', { id: 9 })
    assert.deepEqual(await numbers(a), [7])
  })
})

describe('rights', () => {
  test('a peer that may read gets everything, and adds nothing until it may write', async (t) => {
    const reader = secured(t)
    await reader.ready()
    const a = secured(t, { peers: { [reader.publicKey]: 'read' } })
    await a.ready()
    const { port } = await a.listen(0, HOST)
    await reader.connect(port, HOST, { key: a.publicKey })
    await hears(reader, a, 'T', { num: 1 })
    await reader.append('T', { num: 2 })
    // A peer that knows that it may not send does not try. If it tries all the same, its link ends (tests/net_secure.rs).
    await hears(reader, a, 'U', { id: 3 })
    assert.deepEqual(await numbers(a), [1])
    a.setPeers({ [reader.publicKey]: 'write' })
    await hears(a, reader, 'U', { id: 4 })
    assert.deepEqual(await numbers(a), [1, 2])
  })

  test('can be withdrawn while the link is established', async (t) => {
    const b = secured(t)
    await b.ready()
    const a = secured(t, { peers: { [b.publicKey]: 'write' } })
    await a.ready()
    const { port } = await a.listen(0, HOST)
    await b.connect(port, HOST, { key: a.publicKey })
    const gone = told(b, 'disconnected')
    a.setPeers({})
    assert.equal((await gone).code, 'ERR_HYPER_RIGHTS')
  })

  test('may come from an asynchronous function, and a failure of it refuses the peer', async (t) => {
    const b = secured(t)
    await b.ready()
    let fail = false
    const asked = []
    const a = secured(t, {
      peers: async (peer) => {
        asked.push(peer)
        if (fail) throw new Error('the directory is away')
        return peer.key === b.publicKey ? 'write' : undefined
      }
    })
    await a.ready()
    const { port } = await a.listen(0, HOST)
    await b.connect(port, HOST, { key: a.publicKey })
    assert.deepEqual([asked[0].key, asked[0].direction, asked[0].address], [b.publicKey, 'in', HOST])
    assert.equal((await refused(secured(t).connect(port, HOST, { key: a.publicKey }))).code, 'ERR_HYPER_RIGHTS')
    fail = true
    const warned = told(a, 'warning')
    assert.equal((await refused(secured(t).connect(port, HOST, { key: a.publicKey }))).code, 'ERR_HYPER_RIGHTS')
    assert.equal((await warned).message, 'the directory is away')
  })

  test('of an unknown kind are refused with a reason', (t) => {
    const wrong = [
      [{ peers: { [OTHER]: 'admin' } }, /'read' or 'write', not admin/], [{ peers: { nonsense: 'read' } }, /nonsense/], [{ peers: 5 }, /peers/],
      [{ plain: { from: ['x'] } }, /plain/], [{ plain: 'all' }, /plain/], [{ secret: 'short' }, /32 bytes/], [{ network: '' }, /network/], [{ network: 5 }, /network/]
    ]
    for (const [options, words] of wrong) {
      assert.throws(() => make(t, options), (error) => error.code === 'ERR_HYPER_INVALID_ARG' && words.test(error.message), JSON.stringify(options))
    }
  })
})

describe('a network', () => {
  test('refuses emitters of another network, and both sides report it', async (t) => {
    const store = path.join(folder(), 'store')
    const a = make(t, { network: 'production' }, store)
    const { port } = await a.listen(0, HOST)
    const b = make(t, { network: 'staging' })
    const error = await refused(b.connect(port, HOST))
    assert.equal(error.code, 'ERR_HYPER_NETWORK')
    assert.match(error.message, /staging/)
    assert.match(error.message, /production/)
    await b.append('T', { num: 1 })
    assert.equal((await a.stats()).refusals.network >= 1, true)
    const names = []
    for await (const event of a.read()) names.push(event.name)
    assert.deepEqual(names, ['EventPeer'])
    await a.close()
    const renamed = make(t, { network: 'other' }, store)
    assert.equal((await refused(renamed.ready())).code, 'ERR_HYPER_NETWORK')
    const again = make(t, {}, store)
    await again.ready()
    assert.equal((await again.stats()).network, 'production')
  })
})
