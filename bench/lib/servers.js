'use strict'

// Servers with which we compare, each in a process that ends with ours.

const { spawn } = require('node:child_process')
const net = require('node:net')
const path = require('node:path')
const { folder } = require('./modules')

function start (command, args) {
  const server = spawn(command, args, { stdio: 'ignore' })
  process.on('exit', () => server.kill('SIGKILL'))
}

function freePort () {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** A connection to a NATS server with JetStream. */
exports.startNats = async function startNats () {
  const { connect } = require('@nats-io/transport-node')
  const port = await freePort()
  start('nats-server', ['-js', '-sd', folder(), '-a', '127.0.0.1', '-p', String(port)])
  return connect({ servers: `127.0.0.1:${port}`, waitOnFirstConnect: true, reconnectTimeWait: 50 })
}

function accepts (socket) {
  return new Promise((resolve) => {
    const connection = net.connect(socket, () => resolve(true)).on('error', () => resolve(false)).on('connect', () => connection.destroy())
  })
}

/** The socket of a Redis server with an append-only file; `fsync`: its appendfsync. */
exports.startRedis = async function startRedis (fsync) {
  const dir = folder()
  const socket = path.join(dir, 'redis.sock')
  start('redis-server', ['--port', '0', '--unixsocket', socket, '--dir', dir, '--appendonly', 'yes', '--appendfsync', fsync, '--save', ''])
  while (!await accepts(socket));
  return socket
}
