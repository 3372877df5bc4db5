'use strict'

// BullMQ: a worker takes jobs from a queue in Redis, `concurrency` at a time, and each is removed once it is done. `fsync` is
// Redis's appendfsync.

const { Queue, Worker } = require('bullmq')
const IORedis = require('ioredis')
const { startRedis } = require('../lib/servers')
const { event, options, done, now } = require('../lib/modules')

const { count = 10000, concurrency = 100, fsync = 'everysec' } = options()

async function main () {
  const socket = await startRedis(fsync)
  const connect = () => new IORedis(socket, { maxRetriesPerRequest: null })
  const queue = new Queue('bench', { connection: connect() })
  for (let at = 0; at < count; at += 1000) {
    await queue.addBulk(Array.from({ length: 1000 }, () => ({ name: 'userAdded', data: event, opts: { removeOnComplete: true } })))
  }
  let handled = 0
  const worker = new Worker('bench', async ({ data }) => { handled += data.id.length > 0 ? 1 : 0 }, { connection: connect(), concurrency, autorun: false })
  let completed = 0
  const drained = new Promise((resolve) => worker.on('completed', () => { if (++completed === count) resolve() }))
  await worker.waitUntilReady()
  const started = now()
  worker.run()
  await drained
  done({ rate: handled / (now() - started) * 1000 })
}
main()
