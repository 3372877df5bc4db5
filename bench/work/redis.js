'use strict'

// Redis XADD with appendfsync always: durable, as our acknowledgement is. `window` commands in flight on one connection.

const { spawn } = require('node:child_process')
const { createClient } = require('redis')
const path = require('node:path')
const { event, options, done, now, folder } = require('../lib/modules')

const { window = 1024, ms = 3000, binary = 'redis-server' } = options()

async function main () {
  const dir = folder()
  const socket = path.join(dir, 'redis.sock')
  const server = spawn(binary, ['--port', '0', '--unixsocket', socket, '--dir', dir, '--appendonly', 'yes', '--appendfsync', 'always', '--save', ''], { stdio: 'ignore' })
  process.on('exit', () => server.kill('SIGKILL'))
  const client = createClient({ socket: { path: socket, reconnectStrategy: 50 } })
  client.on('error', () => {})
  await client.connect()
  let count = 0
  const started = now()
  const worker = async () => {
    while (now() - started < ms) {
      await client.xAdd('log', '*', event)
      count++
    }
  }
  await Promise.all(Array.from({ length: window }, worker))
  done({ rate: count / (now() - started) * 1000 })
}
main()
