'use strict'

// NATS JetStream: a durable pull consumer on a file-backed stream, which acknowledges each message. As by default, neither the
// stream nor the consumer's place is flushed to the disk before it is answered.

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
  await manager.consumers.add('log', { durable_name: 'bench', ack_policy: 'explicit' })
  const consumer = await js.consumers.get('log', 'bench')
  const started = now()
  const messages = await consumer.consume({ max_messages: 5000 })
  let handled = 0
  for await (const message of messages) {
    handled += message.data.length > 0 ? 1 : 0
    message.ack()
    if (handled === count) break
  }
  // The server has taken the last acknowledgement.
  for (let left = 1; left > 0;) left = (await consumer.info()).num_ack_pending
  done({ rate: handled / (now() - started) * 1000 })
}
main()
