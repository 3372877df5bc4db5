'use strict'

// NATS JetStream: an ordered consumer reads a file-backed stream from its beginning.

const { jetstream, jetstreamManager } = require('@nats-io/jetstream')
const { startNats } = require('../lib/servers')
const { options, done, now } = require('../lib/modules')

const { count = 100000 } = options()

async function main () {
  const connection = await startNats()
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
