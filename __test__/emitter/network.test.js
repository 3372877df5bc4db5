'use strict'

/** Links in JavaScript: `_peers`, callbacks, `status`, and the records of known peers and of our own address. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const { createRequire } = require('node:module')
const { describe, test } = require('node:test')

const memdb = createRequire(path.join(__dirname, '..', 'oracle', 'package.json'))('memdb')
const { HyperEmitter, SCHEMA, hear, settled, turns, until } = require('./helpers')

const HOST = '127.0.0.1'

function make (t, db, opts) {
  const emitter = new HyperEmitter(db, SCHEMA, opts)
  t.after(() => emitter.close())
  return emitter
}

/** A memdb that outlives its emitters, with these records. */
function keeping (records = {}) {
  const db = memdb()
  db.close = (callback) => callback()
  return new Promise((resolve, reject) => {
    const puts = Object.entries(records).map(([key, value]) => ({ type: 'put', key, value }))
    db.batch(puts, (error) => error ? reject(error) : resolve(db))
  })
}

function record (db, key) {
  return new Promise((resolve) => db.get(key, (error, value) => resolve(error ? undefined : value)))
}

/** A port of this machine where nobody listens. */
async function freePort () {
  const server = net.createServer().listen(0, HOST)
  await new Promise((resolve) => server.on('listening', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** `a` listens, `b` is connected to it. */
async function pair (t, opts) {
  const a = make(t, undefined)
  const b = make(t, undefined, opts)
  const { port } = await a.listen(0, HOST)
  await b.connect(port, HOST)
  return { a, b, port, key: `${HOST}:${port}` }
}

describe('connect', () => {
  test('calls back with undefined once the peer is recorded', async (t) => {
    const db = await keeping()
    const a = make(t)
    const b = make(t, db)
    let connected = 0
    a.status.on('peerConnected', (...args) => { connected++; assert.deepEqual(args, []) })
    const { port } = await a.listen(0, HOST)
    const args = await new Promise((resolve) => {
      assert.equal(b.connect(String(port), HOST, (...args) => resolve(args)), undefined)
      assert.deepEqual(Object.keys(b._peers), [`${HOST}:${port}`])
    })
    assert.deepEqual(args, [undefined])
    assert.deepEqual(JSON.parse(await record(db, '!!PEERS!!')), [{ address: HOST, port: String(port) }])
    await until(() => connected === 1)
    assert.deepEqual(Object.keys(a._peers), ['0'])
    assert.equal(typeof a._peers[0].destroy, 'function')
  })

  test('to a connected peer calls back immediately, without arguments, and opens no socket (1.x opened one)', async (t) => {
    const { a, b, port } = await pair(t)
    let args
    b.connect(port, HOST, (...all) => { args = all })
    assert.deepEqual(args, [])
    b.connect(String(port), HOST, (...all) => { args = all })
    await b.append('T', { num: 1 })
    assert.deepEqual(Object.keys(a._peers), ['0'])
  })

  test('uses localhost if no host is given, under another key than 127.0.0.1', async (t) => {
    const { a, b, port } = await pair(t)
    await new Promise((resolve) => b.connect(port, resolve))
    assert.deepEqual(Object.keys(b._peers).sort(), [`${HOST}:${port}`, `localhost:${port}`])
    await until(() => Object.keys(a._peers).length === 2)
    const heard = []
    b.on('T', (message) => heard.push(message.num))
    await a.append('T', { num: 1 })
    await until(() => heard.length > 0)
    assert.deepEqual(heard, [1])
  })

  test('fails with the last error after ten attempts in a row', async (t) => {
    const emitter = make(t, undefined, { reconnectTimeout: 3 })
    const port = await freePort()
    const errors = []
    emitter.status.on('connectionError', (error, peer) => errors.push([error.code, error.message, peer.key]))
    const args = await new Promise((resolve) => emitter.connect(port, HOST, (...all) => resolve(all)))
    assert.equal(args.length, 1)
    assert.equal(args[0].code, 'ECONNREFUSED')
    assert.deepEqual([args[0].syscall, args[0].address, args[0].port], ['connect', HOST, port])
    assert.ok(args[0].errno < 0)
    assert.deepEqual(errors, Array(10).fill(['ECONNREFUSED', `connect ECONNREFUSED ${HOST}:${port}`, `${HOST}:${port}`]))
    assert.deepEqual(emitter._peers, {})
  })

  test('fails after ten attempts to a peer of an earlier run, which is dialled until it answers', async (t) => {
    const db = await keeping()
    const first = make(t)
    const { port } = await first.listen(0, HOST)
    const earlier = make(t, db)
    await earlier.connect(port, HOST)
    await earlier.close()
    await first.close()

    const emitter = make(t, db, { reconnectTimeout: 3 })
    let attempts = 0
    emitter.status.on('connectionError', () => attempts++)
    await assert.rejects(emitter.connect(port, HOST), { code: 'ECONNREFUSED' })
    await until(() => attempts > 10)
    const again = make(t)
    await again.listen(port, HOST)
    await once(emitter.status, 'connected')
  })

  test('fails after ten attempts if a server accepts connections but does not speak the protocol, and does not remember it', async (t) => {
    const server = net.createServer((socket) => socket.on('error', () => {}).destroy()).listen(0, HOST)
    t.after(() => server.close())
    await new Promise((resolve) => server.on('listening', resolve))
    const { port } = server.address()
    const db = await keeping()
    const emitter = make(t, db, { reconnectTimeout: 3 })
    let attempts = 0
    emitter.status.on('connectionError', () => attempts++)
    emitter.status.on('connected', assert.fail)
    const both = await Promise.allSettled([emitter.connect(port, HOST), emitter.connect(port, HOST)])
    for (const { reason } of both) {
      assert.match(reason.code, /^(ERR_HYPER_CONNECT|ECONNRESET|EPIPE)$/)
      if (reason.code === 'ERR_HYPER_CONNECT') assert.match(reason.message, new RegExp(`^cannot connect to ${HOST}:${port}: the server there closes connections without sending anything`))
    }
    assert.equal(attempts, 10)
    assert.deepEqual(emitter._peers, {})
    assert.equal(await record(db, '!!PEERS!!'), undefined)
  })

  test('waits for the peer if a forwarder accepts connections before the peer is up', async (t) => {
    let target
    const front = net.createServer((near) => {
      near.on('error', () => {})
      if (target === undefined) return near.destroy()
      const far = net.connect(target, HOST)
      far.on('error', () => near.destroy())
      near.pipe(far).pipe(near)
    }).listen(0, HOST)
    t.after(() => front.close())
    await new Promise((resolve) => front.on('listening', resolve))
    const a = make(t)
    const b = make(t, undefined, { reconnectTimeout: 5 })
    let failures = 0
    b.status.on('connectionError', async () => {
      if (++failures === 2) target = (await a.listen(0, HOST)).port
    })
    await b.connect(front.address().port, HOST)
    assert.ok(failures >= 2)
    assert.equal((await b.stats()).peers[0].protocol, '2.x')
    await b.close()
  })

  test('a second call for the same dead peer ends as the first one does', async (t) => {
    const emitter = make(t, undefined, { reconnectTimeout: 3 })
    const port = await freePort()
    const ends = []
    const first = emitter.connect(port, HOST).catch((error) => ends.push(error.code))
    const second = emitter.connect(port, HOST).catch((error) => ends.push(error.code))
    await Promise.all([first, second])
    assert.deepEqual(ends, ['ECONNREFUSED', 'ECONNREFUSED'])
  })

  test('to a known peer that is down fails after ten attempts, and the peer is still dialled', async (t) => {
    const port = await freePort()
    const db = await keeping({ '!!PEERS!!': JSON.stringify([{ address: HOST, port: String(port) }]) })
    const emitter = make(t, db, { reconnectTimeout: 0 })
    await new Promise((resolve) => emitter.status.once('connectionError', resolve))
    await assert.rejects(emitter.connect(port, HOST), { code: 'ECONNREFUSED' })
    assert.deepEqual((await emitter.stats()).peers.map((peer) => peer.key), [`${HOST}:${port}`])
  })

  test('finds a peer that starts to listen later', async (t) => {
    const port = await freePort()
    const a = make(t)
    const b = make(t, undefined, { reconnectTimeout: 20 })
    b.status.once('connectionError', () => a.listen(port, HOST))
    await b.connect(port, HOST)
    const heard = hear(b, 'T', 1)
    a.emit('T', { num: 3 })
    assert.equal((await heard)[0].num, 3)
  })

  test('dials a peer again after destroy, which simulates a failure', async (t) => {
    const { a, b, key } = await pair(t, { reconnectTimeout: 5 })
    const errors = []
    b.status.on('connectionError', (error, peer) => errors.push([error.message, peer.key]))
    b._peers[key].destroy()
    await until(() => errors.length === 1)
    assert.deepEqual(errors, [['premature close', key]])
    const heard = hear(b, 'T', 1)
    a.emit('T', { num: 4 })
    assert.equal((await heard)[0].num, 4)
    assert.deepEqual(Object.keys(b._peers), [key])
    await until(() => Object.keys(a._peers).length === 1)
    assert.deepEqual(Object.keys(a._peers), ['1'])
  })

  test('to itself calls back, emits a warning, keeps no link and stores nothing twice', async (t) => {
    const db = await keeping()
    const emitter = make(t, db)
    const { port } = await emitter.listen(0, HOST)
    const warned = new Promise((resolve) => emitter.status.on('warning', resolve))
    emitter.status.on('connectionError', assert.fail)
    await emitter.connect(port, HOST)
    assert.equal((await warned).code, 'ERR_HYPER_SELF')
    emitter.status.removeAllListeners('connectionError')
    await until(() => Object.keys(emitter._peers).length === 0)
    assert.equal(await record(db, '!!PEERS!!'), undefined)
    const heard = []
    emitter.on('T', (message) => heard.push(message.num))
    emitter.emit('T', { num: 1 })
    await settled(emitter)
    assert.deepEqual(heard, [1])
  })

  test('IPv6 peers are recorded so that they can be dialled', async (t) => {
    const db = await keeping()
    const a = make(t)
    const b = make(t, db)
    const { port, family } = await a.listen(0, '::1')
    assert.equal(family, 'IPv6')
    await b.connect(port, '::1')
    assert.deepEqual(Object.keys(b._peers), [`::1:${port}`])
    assert.deepEqual(JSON.parse(await record(db, '!!PEERS!!')), [{ address: '::1', port: String(port) }])
  })

  test('fails with ENOTFOUND if the host cannot be resolved', async (t) => {
    const emitter = make(t, undefined, { reconnectTimeout: 1 })
    const errors = []
    emitter.status.on('connectionError', (error) => errors.push(error.code))
    await assert.rejects(emitter.connect(1234, 'no-such-host.invalid'))
    assert.equal(errors.length, 10)
    assert.ok(errors.every((code) => code === 'ENOTFOUND' || code === 'EAI_AGAIN'), errors[0])
  })
})

describe('status', () => {
  /** What `status` tells of links, in order. */
  function watch (emitter) {
    const told = []
    for (const event of ['connected', 'synced', 'disconnected']) emitter.status.on(event, (peer) => told.push({ event, ...peer }))
    return told
  }

  test('reports on both sides when a link is established, when it is synced, and why it ended', async (t) => {
    const a = make(t)
    const b = make(t)
    const [atA, atB] = [watch(a), watch(b)]
    const { port } = await a.listen(0, HOST)
    await b.connect(port, HOST)
    await until(() => atA.length === 2 && atB.length === 2)
    const open = { protocol: '2.x', publicKey: null, security: 'plain', right: 'write' }
    assert.deepEqual(atB[0], { event: 'connected', link: `${HOST}:${port}`, direction: 'out', address: HOST, port, ...open })
    const { port: from, ...inbound } = atA[0]
    assert.deepEqual(inbound, { event: 'connected', link: '0', direction: 'in', address: HOST, ...open })
    assert.ok(from > 0)
    assert.deepEqual([atA[1].event, atB[1].event], ['synced', 'synced'])
    const [{ state, since, lastEnd }] = (await b.stats()).peers
    assert.deepEqual([state, lastEnd], ['live', null])
    assert.ok(Math.abs(Date.now() - since) < 60_000)
    await a.close()
    await until(() => atA.length === 3 && atB.length === 3)
    const ends = [atA[2], atB[2]].map(({ event, reason, code, told, message }) => [event, reason, code, told, message])
    assert.deepEqual(ends[0].slice(0, 4), ['disconnected', 'closing', 'ERR_HYPER_CLOSED', false])
    assert.deepEqual(ends[1], ['disconnected', 'closing', 'ERR_HYPER_ENDED', true, 'the peer closes'])
    const [{ lastEnd: last }] = (await b.stats()).peers
    assert.equal(last.message, 'the peer closes')
    assert.ok(last.at > 0)
  })

  test('reports an orderly end with a code', async (t) => {
    const { a, b } = await pair(t)
    const error = new Promise((resolve) => b.status.once('connectionError', resolve))
    await a.close()
    assert.match((await error).code, /^ERR_HYPER_/)
  })
})

describe('known peers', () => {
  test('are dialled at the next start', async (t) => {
    const a = make(t)
    const { port } = await a.listen(0, HOST)
    const b = make(t, await keeping({ '!!PEERS!!': JSON.stringify([{ address: HOST, port: String(port) }]) }))
    const heard = hear(b, 'T', 1)
    a.emit('T', { num: 1 })
    await heard
    assert.deepEqual(Object.keys(b._peers), [`${HOST}:${port}`])
  })

  test('are left alone with dial: false', async (t) => {
    const a = make(t)
    const { port } = await a.listen(0, HOST)
    const db = await keeping({ '!!PEERS!!': JSON.stringify([{ address: HOST, port: String(port) }]) })
    const b = make(t, db, { dial: false })
    await b.append('T', { num: 1 })
    await turns(20)
    assert.deepEqual([a._peers, b._peers], [{}, {}])
  })

  test('that 1.x recorded and crashes on are skipped', async (t) => {
    const a = make(t)
    const { port } = await a.listen(0, HOST)
    const poisoned = [
      { address: '0' }, { address: '', port: '' }, { address: 'function () {}', port: '9999' }, { address: 'undefined', port: '9999' },
      { address: HOST, port: '99999' }, { address: HOST, port: 'x' }, null, 5, { port: '1' }, { address: HOST, port: String(port) }
    ]
    const b = make(t, await keeping({ '!!PEERS!!': JSON.stringify(poisoned) }))
    b.status.on('connectionError', assert.fail)
    await until(() => Object.keys(a._peers).length === 1)
    b.status.removeAllListeners()
    assert.deepEqual(Object.keys(b._peers), [`${HOST}:${port}`])
  })

  test('whose record has an unknown way to dial are not dialled', async (t) => {
    const a = make(t)
    const c = make(t)
    const { port } = await a.listen(0, HOST)
    const other = { address: HOST, port: String((await c.listen(0, HOST)).port) }
    const records = [{ ...other, key: 'ed25519-x' }, { ...other, key: 5 }, { ...other, plain: 'all' }, { address: HOST, port: String(port) }]
    const b = make(t, await keeping({ '!!PEERS!!': JSON.stringify(records) }))
    b.status.on('connectionError', assert.fail).on('warning', assert.fail)
    await until(() => Object.keys(a._peers).length === 1)
    b.status.removeAllListeners()
    assert.deepEqual(Object.keys(b._peers), [`${HOST}:${port}`])
  })

  test('inbound links are never recorded', async (t) => {
    const db = await keeping()
    const a = make(t)
    const b = make(t, db)
    const c = make(t)
    const { port } = await a.listen(0, HOST)
    const inbound = await b.listen(0, HOST)
    await c.connect(inbound.port, HOST)
    await until(() => Object.keys(b._peers).length === 1)
    await b.connect(port, HOST)
    assert.deepEqual(JSON.parse(await record(db, '!!PEERS!!')), [{ address: HOST, port: String(port) }])
  })

  test('a record that is not JSON is a warning', async (t) => {
    const b = make(t, await keeping({ '!!PEERS!!': 'not json' }))
    const error = await new Promise((resolve) => b.status.on('warning', resolve))
    assert.equal(error.code, 'ERR_HYPER_PEERS')
    await b.append('T', { num: 1 })
  })

  test('a record that cannot be read is an error on status', async (t) => {
    const db = await keeping()
    const { get } = db
    db.get = function (key, ...rest) {
      if (key === '!!PEERS!!') return setImmediate(rest.pop(), new Error('boom'))
      return get.call(this, key, ...rest)
    }
    const b = make(t, db)
    const error = await new Promise((resolve) => b.status.on('error', resolve))
    assert.match(error.message, /boom/)
  })
})

describe('listen', () => {
  test('announces its address once, and again if the address, the host\'s text or the id changes', async (t) => {
    const db = await keeping()
    const port = await freePort()
    async function run (host, id) {
      if (id !== undefined) await new Promise((resolve) => db.put('!!STOREID!!', id, resolve))
      const emitter = new HyperEmitter(db, SCHEMA)
      const heard = []
      emitter.on('EventPeer', (peer) => heard.push(peer))
      const address = await emitter.listen(port, host)
      assert.deepEqual(address, { address: HOST, family: 'IPv4', port })
      await settled(emitter)
      await emitter.close()
      return heard.map((peer) => [peer.id === emitter.id, peer.addresses])
    }
    assert.deepEqual(await run(HOST), [[true, [{ ip: HOST, port }]]])
    assert.deepEqual(await run(HOST), [])
    assert.deepEqual(await run('localhost'), [[true, [{ ip: 'localhost', port }]]])
    assert.deepEqual(await run('localhost', 'another'), [[true, [{ ip: 'localhost', port }]]])
    assert.deepEqual(JSON.parse(await record(db, '!!MYEVENTPEER!!')), { id: 'another', addresses: [{ ip: 'localhost', port }] })
  })

  test('without a host, announces the addresses that others can reach, and nothing if there are none', async (t) => {
    const { networkInterfaces } = os
    t.after(() => { os.networkInterfaces = networkInterfaces })
    for (const [interfaces, expected] of [
      [{ lo: [{ address: HOST, internal: true }] }, []],
      [{ lo: [{ address: HOST, internal: true }], eth: [{ address: '10.1.2.3', internal: false }, { address: 'fe80::1', internal: false }] }, [['10.1.2.3', 'fe80::1']]]
    ]) {
      os.networkInterfaces = () => interfaces
      const emitter = make(t)
      const heard = []
      emitter.on('EventPeer', (peer) => heard.push(peer.addresses.map((each) => each.ip)))
      const { port } = await emitter.listen(0)
      assert.ok(port > 0)
      await settled(emitter)
      assert.deepEqual(heard, expected)
    }
  })

  test('on 0.0.0.0 and :: announces addresses that others can dial', async (t) => {
    const { networkInterfaces } = os
    t.after(() => { os.networkInterfaces = networkInterfaces })
    const eth = [{ address: '10.1.2.3', family: 'IPv4', internal: false }, { address: '2001:db8::1', family: 'IPv6', internal: false }]
    os.networkInterfaces = () => ({ lo: [{ address: HOST, family: 'IPv4', internal: true }], eth })
    for (const [host, expected] of [['0.0.0.0', ['10.1.2.3']], ['::', ['10.1.2.3', '2001:db8::1']]]) {
      const emitter = make(t)
      const heard = []
      emitter.on('EventPeer', (peer) => heard.push(peer.addresses.map((each) => each.ip)))
      await emitter.listen(0, host)
      await settled(emitter)
      assert.deepEqual(heard, [expected])
    }
  })

  test('an announced peer is not dialled', async (t) => {
    const a = make(t)
    const { port } = await a.listen(0, HOST)
    const b = make(t)
    await b.append('EventPeer', { id: 'somebody', addresses: [{ ip: HOST, port }] })
    await settled(b)
    assert.deepEqual([b._peers, a._peers], [{}, {}])
  })
})

describe('close', () => {
  test('ends links, reports dialled ones, answers pending connects, and destroys the entries of _peers, latest first', async (t) => {
    const { a, b, key } = await pair(t)
    const unreachable = await freePort()
    const errors = []
    b.status.on('connectionError', (error, peer) => errors.push([error.message, peer.key]))
    const pending = new Promise((resolve) => b.connect(unreachable, HOST, resolve))
    await until(() => errors.length === 1)
    errors.length = 0
    const destroyed = []
    for (const name of ['x:1', 'y:1']) b._peers[name] = { destroy: () => destroyed.push(name) }
    await b.close()
    assert.equal((await pending).code, 'ERR_HYPER_CLOSED')
    await turns(2)
    assert.deepEqual(destroyed, ['y:1', 'x:1'])
    assert.deepEqual(errors, [['premature close', key]])
    await until(() => Object.keys(a._peers).length === 0)
  })

  test('while connecting, no link comes up later', async (t) => {
    const server = net.createServer(() => assert.fail('dialled after close')).listen(0, HOST)
    await new Promise((resolve) => server.on('listening', resolve))
    const { port } = server.address()
    await new Promise((resolve) => server.close(resolve))
    const emitter = make(t, undefined, { reconnectTimeout: 5 })
    emitter.connect(port, HOST)
    await new Promise((resolve) => emitter.status.once('connectionError', resolve))
    await emitter.close()
    server.listen(port, HOST)
    t.after(() => server.close())
    // Ten pauses between attempts, for a peer whose link had been alive.
    await new Promise((resolve) => setTimeout(resolve, 50))
  })
})
