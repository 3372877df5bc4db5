'use strict'

// Redis XADD with appendfsync always: durable, as our acknowledgement is. `window` commands in flight on one connection.

const { createClient } = require('redis')
const { startRedis } = require('../lib/servers')
const { event, options, done, now } = require('../lib/modules')

const { window = 1024, ms = 3000 } = options()

async function main () {
  const client = createClient({ socket: { path: await startRedis('always') } })
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
