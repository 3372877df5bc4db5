'use strict'

// NATS JetStream: an ordered consumer reads a file-backed stream from its beginning.

const { spawn } = require('node:child_process')
const net = require('node:net')
const { connect } = require('@nats-io/transport-node')
const { jetstream, jetstreamManager } = require('@nats-io/jetstream')
const { options, done, now, folder } = require('../lib/modules')

const { count = 100000, binary = 'nats-server' } = options()

function freePort () {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

async function main () {
  const port = await freePort()
  const server = spawn(binary, ['-js', '-sd', folder(), '-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
  process.on('exit', () => server.kill('SIGKILL'))
  const connection = await connect({ servers: `127.0.0.1:${port}`, waitOnFirstConnect: true, reconnectTimeWait: 50 })
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: 'log', subjects: ['log.*'] })
  const js = jetstream(connection)
  const payload = Buffer.alloc(38, 'x')
  for (let at = 0; at < count; at += 500) {
    await Promise.all(Array.from({ length: 500 }, () => js.publish('log.userAdded', payload)))
  }
  const consumer = await js.consumers.get('log', { filter_subjects: 'log.*' })
  const started = now()
  const messages = await consumer.consume({ max_messages: 5000 })
  let read = 0
  for await (const message of messages) {
    read += message.data.length > 0 ? 1 : 0
    if (read === count) break
  }
  done({ rate: read / (now() - started) * 1000 })
}
main()
