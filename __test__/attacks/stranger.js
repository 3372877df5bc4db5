'use strict'

/** A program that connects to an emitter and sends whatever frames a test wants (docs/design/wire.md). */

const { once } = require('node:events')
const net = require('node:net')

const { messages, event } = require('../../scripts/soak/raw')

/** Factor for the load of the attacks, relative to `npm test`; set by `npm run attack`. */
const HEAVY = Number(process.env.HYPER_ATTACK ?? 1)

/** Connects, and sends `first` immediately. */
async function connect (port, first = Buffer.alloc(0), localAddress = '127.0.0.1') {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress })
  const stranger = {
    socket,
    /** Bytes received. */
    received: 0,
    ended: new Promise((resolve) => socket.on('close', resolve)),
    send: (...frames) => socket.writable && socket.write(Buffer.concat(frames)),
    /** Resolves when more bytes have arrived, or the connection has ended. */
    answered: () => Promise.race([once(socket, 'data'), stranger.ended])
  }
  socket.on('error', () => {})
  socket.on('data', (bytes) => { stranger.received += bytes.length })
  await once(socket, 'connect')
  socket.write(first)
  return stranger
}

/** Connects as a 2.x peer without any logs. */
async function meet (port, log = 'stranger') {
  const stranger = await connect(port, Buffer.concat([messages.handshake(log), messages.vector()]))
  if (stranger.received === 0) await stranger.answered()
  return stranger
}

module.exports = { HEAVY, connect, event, meet, messages }
