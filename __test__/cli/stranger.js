'use strict'

/** A 1.x peer that offers one event with any log, name and time, such as no emitter would write. */

const { createHash } = require('node:crypto')
const { once } = require('node:events')
const net = require('node:net')

function varint (number) {
  const bytes = []
  for (let rest = BigInt(number); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)])
    bytes.push(Number(rest & 127n) | 128)
  }
}

const bytes = (field, value) => Buffer.concat([Buffer.from([field << 3 | 2]), varint(Buffer.byteLength(value)), Buffer.from(value)])
const number = (field, value) => Buffer.concat([Buffer.from([field << 3]), varint(value)])
const frame = (type, ...fields) => {
  const body = Buffer.concat([Buffer.from([type]), ...fields])
  return Buffer.concat([varint(body.length), body])
}

/** The container of an event (docs/design/wire.md). */
function container ({ name, payload = 'x', time }) {
  return Buffer.concat([bytes(1, name), bytes(2, payload), bytes(3, Buffer.alloc(16, 7)), number(4, time)])
}

/**
 * @param {import('node:test').TestContext} t
 * @param {{log: string, name: string, time: bigint}} event
 * @returns {Promise<number>} its port
 */
async function stranger (t, { log, ...event }) {
  const value = container(event)
  const key = createHash('sha256').update(`${value.length}\n`).update(value).digest('hex')
  const sockets = new Set()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).resume()
    socket.write(Buffer.concat([
      frame(0, number(1, 1), number(4, 1)),
      frame(1, bytes(1, log), number(2, 1)),
      frame(4),
      frame(3, number(1, 1), bytes(2, key), bytes(3, log), number(4, 1), bytes(5, value)),
      frame(5)
    ]))
  }).listen(0, '127.0.0.1')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(server, 'listening')
  return server.address().port
}

module.exports = { stranger }
