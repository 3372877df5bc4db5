'use strict'

/** Threads that wait for a database are released when its environment ends. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { test } = require('node:test')
const { isMainThread, parentPort, Worker } = require('node:worker_threads')

if (isMainThread) {
  test('a worker is terminated while its Level store is written to, 30 times', { timeout: 60_000 }, async () => {
    for (let i = 0; i < 30; i++) {
      const worker = new Worker(__filename)
      await once(worker, 'message')
      assert.equal(await worker.terminate(), 1)
    }
  })
} else {
  const { MemoryLevel } = require('memory-level-3')
  const emitter = require('../..')(new MemoryLevel(), 'message Sale { required string item = 1; }')
  let acknowledged = 0
  const next = () => emitter.emit('Sale', { item: 'apple' }, () => {
    if (++acknowledged === 5) parentPort.postMessage('busy')
    next()
  })
  for (let i = 0; i < 8; i++) next()
}
