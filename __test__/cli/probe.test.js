'use strict'

const assert = require('node:assert/strict')
const net = require('node:net')
const { once } = require('node:events')
const { test } = require('node:test')
const { probe, readHandshake } = require('../../lib/cli/probe')

/** The handshake of 1.x: version 1, live. */
const OLD = Buffer.from('050008012001', 'hex')

test("1.x's handshake is recognised, whole and in pieces", () => {
  assert.deepEqual(readHandshake(OLD), { protocol: '1.x', live: true })
  for (let length = 0; length < OLD.length; length++) assert.equal(readHandshake(OLD.subarray(0, length)), 'incomplete')
  assert.deepEqual(readHandshake(Buffer.from('03000801', 'hex')), { protocol: '1.x', live: false })
})

test('a handshake with metadata is recognised as 2.x', () => {
  assert.deepEqual(readHandshake(Buffer.from('080008011a01aa2001', 'hex')), { protocol: '2.x', live: true })
})

test('any other bytes are not recognised, and cause no exception', () => {
  for (const text of ['HTTP/1.1 200 OK\r\n', 'SSH-2.0-OpenSSH\r\n', '\xff\xff\xff\xff\xff\xff', '\x00\x00', '\x02\x01\x08\x01']) {
    assert.equal(readHandshake(Buffer.from(text, 'latin1')), 'other', text)
  }
  for (let length = 0; length < 40; length++) {
    for (let seed = 0; seed < 200; seed++) {
      readHandshake(Buffer.from(Array.from({ length }, (_, at) => (seed * 2654435761 + at * 40503 + (seed ^ at) * 97) & 0xff)))
    }
  }
})

async function serve (t, answer) {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    answer(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return server.address().port
}

test('a 1.x emitter at an address is distinguished from other servers', async (t) => {
  assert.equal((await probe(await serve(t, (socket) => socket.write(OLD)), '127.0.0.1')).protocol, '1.x')
  assert.equal((await probe(await serve(t, (socket) => socket.write('220 mail\r\n')), '127.0.0.1')).protocol, null)
  assert.equal((await probe(await serve(t, (socket) => socket.end()), '127.0.0.1')).protocol, null)
})

test('an address where nothing listens is an error', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  await assert.rejects(probe(port, '127.0.0.1'), { code: 'ECONNREFUSED' })
})
