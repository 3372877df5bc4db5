'use strict'

/** Links over TLS of Node's own, and over streams that users bring. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const net = require('node:net')
const path = require('node:path')
const tls = require('node:tls')
const { duplexPair } = require('./duplex-pair')
const { describe, test } = require('node:test')

const { folder, turns } = require('../emitter/helpers')
const { publicKeyOf } = require('../../lib/trust/keys')
const { HOST, hears, make, newKey, pem, refused, secured, told } = require('./helpers')

const ca = pem('ca.pem')
const server = { key: pem('server.key'), cert: pem('server.pem'), ca, requestCert: true, rejectUnauthorized: true }
const client = { key: pem('client.key'), cert: pem('client.pem'), ca }

describe('tls', () => {
  test('links are established with certificates on both sides, and again after a restart', async (t) => {
    const a = make(t)
    const { port } = await a.listen(0, HOST, { tls: server })
    const store = path.join(folder(), 'store')
    let b = make(t, { tls: client }, store)
    await b.connect(port, HOST, { tls: true })
    await hears(b, a, 'T', { num: 1 })
    await hears(a, b, 'T', { num: 2 })
    assert.deepEqual((await a.stats()).peers.map(({ security }) => security), ['tls'])
    assert.deepEqual((await b.stats()).peers.map(({ security }) => security), ['tls'])
    await b.close()
    b = make(t, { tls: client }, store)
    await told(b, 'connected')
    await b.close()
    // Without the TLS options the peer is not dialled, and in particular not in plain text.
    b = make(t, {}, store)
    assert.equal((await told(b, 'warning')).code, 'ERR_HYPER_INSECURE')
  })

  test('a certificate of an unknown CA, and a peer without a certificate, are refused', async (t) => {
    const a = make(t)
    const { port } = await a.listen(0, HOST, { tls: server })
    const b = make(t)
    const error = await refused(b.connect(port, HOST, { tls: { key: client.key, cert: client.cert } }))
    assert.equal(error.code, 'ERR_HYPER_INSECURE')
    const own = make(t)
    await refused(own.connect(port, HOST, { tls: { ca } }))
    assert.equal((await a.stats()).peers.length, 0)
  })

  test('rights follow the certificate, and can be taken away', async (t) => {
    const a = make(t, { peers: { 'dns:client.test': 'write' } })
    const { port } = await a.listen(0, HOST, { tls: server })
    const b = make(t)
    await b.connect(port, HOST, { tls: client })
    await hears(a, b, 'T', { num: 1 })
    const gone = told(b, 'disconnected')
    a.setPeers({ 'dns:other.test': 'write' })
    assert.equal((await gone).code, 'ERR_HYPER_RIGHTS')
  })

  for (const [name, what] of [['posing', 'one name that reads like several is for that one only'], ['wildcard', 'a wildcard is for none of the names']]) {
    test(`a certificate for ${what}`, async (t) => {
      const a = make(t, { peers: { 'dns:client.test': 'write', 'dns:a.client.test': 'write' } })
      const { port } = await a.listen(0, HOST, { tls: { ...server, ca: [ca, pem('wildcard.pem')] } })
      const b = make(t)
      const error = await refused(b.connect(port, HOST, { tls: { key: pem(`${name}.key`), cert: pem(`${name}.pem`), ca } }))
      assert.match(error.code, /ERR_HYPER_(ENDED|CONNECT|RIGHTS)|ECONNRESET|EPIPE/)
      assert.deepEqual((await a.stats()).peers, [])
    })
  }

  test('a peer that disconnects before it is decided whether it may connect causes no error', async (t) => {
    let decide
    const asked = new Promise((resolve) => { decide = resolve })
    const answers = []
    const a = make(t, { peers: () => new Promise((resolve) => { answers.push(resolve); decide() }) })
    const { port } = await a.listen(0, HOST, { tls: server })
    const raw = net.connect(port, HOST)
    const socket = tls.connect({ socket: raw, ...client, servername: 'localhost' }).on('error', () => {})
    await asked
    raw.resetAndDestroy()
    await new Promise((resolve) => socket.once('close', resolve))
    const b = make(t)
    const connected = b.connect(port, HOST, { tls: client })
    while (answers.length < 2) await turns(1)
    answers[0]('write')
    answers[1]('write')
    await connected
    assert.equal((await a.stats()).peers.length, 1)
  })

  // Less than the 30 s that a decision may take.
  test('a dialled peer that resets before it is decided whether it may connect is dialled again', { timeout: 20_000 }, async (t) => {
    const peer = tls.createServer(server, () => {}).on('tlsClientError', () => {}).listen(0, HOST)
    await once(peer, 'listening')
    let far
    // The reset comes from a relay: a TLS socket ends in an orderly way.
    const relay = net.createServer((near) => {
      far = near
      const to = net.connect(peer.address().port, HOST)
      near.pipe(to).pipe(near)
      for (const socket of [near, to]) socket.on('error', () => {}).on('close', () => to.destroy())
    }).listen(0, HOST)
    await once(relay, 'listening')
    t.after(() => { peer.close(); relay.close() })
    const times = []
    const asked = new Promise((resolve) => {
      // Never decides, because the end of the connection must be enough.
      const decide = () => new Promise(() => { times.push(1); resolve() })
      make(t, { peers: decide, reconnectTimeout: 1 }).connect(relay.address().port, HOST, { tls: client }).catch(() => {})
    })
    await asked
    far.resetAndDestroy()
    while (times.length < 2) await turns(1)
  })

  test('without an identity, setPeers applies to certificates, and plain peers are refused', async (t) => {
    const a = make(t)
    assert.throws(() => a.setPeers({ [publicKeyOf(newKey())]: 'write' }), { code: 'ERR_HYPER_INVALID_ARG' })
    a.setPeers({ 'dns:client.test': 'write' })
    const { port } = await a.listen(0, HOST)
    const b = make(t)
    assert.equal((await refused(b.connect(port, HOST))).code, 'ERR_HYPER_INSECURE')
    a.setPeers(undefined)
    await make(t).connect(port, HOST)
  })

  test('a TLS port refuses plain peers, and a plain port refuses TLS', async (t) => {
    const a = make(t)
    const { port } = await a.listen(0, HOST, { tls: server })
    const b = make(t)
    assert.ok((await refused(b.connect(port, HOST))).code)
    const plain = make(t)
    const address = await plain.listen(0, HOST)
    assert.ok((await refused(b.connect(address.port, HOST, { tls: client }))).code)
  })
})

describe('handle', () => {
  test('replicates over any stream', async (t) => {
    const [left, right] = duplexPair()
    const a = make(t)
    const b = make(t)
    const [peer] = await Promise.all([a.handle(left, { dialled: true, can: 'write' }), b.handle(right, { can: 'write' })])
    assert.deepEqual([peer.security, peer.direction], ['stream', 'out'])
    const directions = async (emitter) => (await emitter.stats()).peers.map(({ direction }) => direction)
    assert.deepEqual([await directions(a), await directions(b)], [['out'], ['in']])
    await hears(b, a, 'T', { num: 1 })
    await hears(a, b, 'T', { num: 2 })
    const gone = told(b, 'disconnected')
    await a.close()
    assert.equal((await gone).reason, 'closing')
  })

  test('with identities a stream is encrypted inside', async (t) => {
    const [left, right] = duplexPair()
    const a = secured(t, { peers: () => 'write' })
    const b = secured(t, { peers: () => 'write' })
    await b.ready()
    const [peer] = await Promise.all([a.handle(left, { dialled: true, key: b.publicKey }), b.handle(right)])
    assert.deepEqual([peer.security, peer.publicKey], ['noise', b.publicKey])
    await hears(b, a, 'T', { num: 1 })
  })

  test('a stream that ends early, and a value that is not a stream, are refused with a reason', async (t) => {
    const [left, right] = duplexPair()
    const a = make(t)
    const handled = refused(a.handle(left, { dialled: true, can: 'write' }))
    right.destroy()
    assert.match((await handled).code, /ERR_HYPER_/)
    assert.equal((await refused(a.handle(left, { can: 'write' }))).code, 'ERR_HYPER_CONNECT', 'it is destroyed already')
    assert.throws(() => a.handle({}), { code: 'ERR_HYPER_INVALID_ARG' })
    assert.throws(() => a.handle(right, { can: 'all' }), { code: 'ERR_HYPER_INVALID_ARG' })
    assert.throws(() => a.handle(right, { key: 'x' }), { code: 'ERR_HYPER_INVALID_ARG' })
    await a.close()
    await assert.rejects(() => a.handle(new tls.TLSSocket()), { code: 'ERR_HYPER_CLOSED' })
  })
})
