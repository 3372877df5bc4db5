'use strict'

/** Links over TLS of Node's own, and over streams that users bring. */

const assert = require('node:assert/strict')
const path = require('node:path')
const tls = require('node:tls')
const { duplexPair } = require('./duplex-pair')
const { describe, test } = require('node:test')

const { folder } = require('../emitter/helpers')
const { HOST, hears, make, pem, refused, secured, told } = require('./helpers')

const ca = pem('ca.pem')
const server = { key: pem('server.key'), cert: pem('server.pem'), ca, requestCert: true, rejectUnauthorized: true }
const client = { key: pem('client.key'), cert: pem('client.pem'), ca }

describe('tls', () => {
  test('certificates on both sides make a link, also again after a restart', async (t) => {
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
    // Without the options it is not dialled, least of all plain.
    b = make(t, {}, store)
    assert.equal((await told(b, 'warning')).code, 'ERR_HYPER_INSECURE')
  })

  test('a certificate that nobody vouches for is refused', async (t) => {
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

  test('a port that speaks TLS takes no plain peers, and a plain one no TLS', async (t) => {
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
    assert.equal(peer.security, 'stream')
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

  test('a stream that ends early, and what is no stream, get a word', async (t) => {
    const [left, right] = duplexPair()
    const a = make(t)
    const handled = refused(a.handle(left, { dialled: true, can: 'write' }))
    right.destroy()
    assert.match((await handled).code, /ERR_HYPER_/)
    assert.throws(() => a.handle({}), { code: 'ERR_HYPER_INVALID_ARG' })
    assert.throws(() => a.handle(right, { can: 'all' }), { code: 'ERR_HYPER_INVALID_ARG' })
    assert.throws(() => a.handle(right, { key: 'x' }), { code: 'ERR_HYPER_INVALID_ARG' })
    await a.close()
    await assert.rejects(() => a.handle(new tls.TLSSocket()), { code: 'ERR_HYPER_CLOSED' })
  })
})
