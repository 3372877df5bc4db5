'use strict'

// Memory and handles must not grow: each scenario runs many times in a separate process, and what is held after a garbage
// collection must become constant.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const path = require('node:path')
const { test } = require('node:test')

/** Rounds of each scenario. V8 and the allocator have grown to what they need after half of them. */
const ROUNDS = 32

/** Keeps V8 from enlarging the space for young objects, which it does for speed at unpredictable times. */
const FLAGS = ['--expose-gc', '--max-semi-space-size=1']

/** What the second half may add, in bytes: the heap proper, and the process with its allocator's arenas, one per thread. */
const HEAP_SLACK = 1e6
const PROCESS_SLACK = 1e7

const SCENARIOS = {
  'emitters that are opened and closed': async ({ HyperEmitter }) => {
    for (let i = 0; i < 50; i++) {
      const emitter = new HyperEmitter(':memory:', 'message note { required string text = 1; }')
      emitter.on('note', () => {})
      await emitter.append('note', { text: 'x' })
      await emitter.close()
    }
  },

  'listeners that come and go': async ({ shared }) => {
    for (let i = 0; i < 20000; i++) {
      const listener = () => {}
      shared.on(`name ${i}`, listener)
      shared.once(`name ${i}`, listener)
      shared.removeListener(`name ${i}`, listener).removeAllListeners(`name ${i}`)
    }
  },

  'streams and readers that are left': async ({ shared }) => {
    for (let i = 0; i < 300; i++) {
      const stream = shared.stream({ from: 'beginning' })
      await new Promise((resolve) => stream.once('data', resolve))
      stream.destroy()
      for await (const entry of shared.read({ live: true })) if (entry.change > 0) break
    }
  },

  'links that are made and cut': async ({ HyperEmitter, port }) => {
    for (let i = 0; i < 20; i++) {
      const emitter = new HyperEmitter()
      await emitter.connect(port, '127.0.0.1')
      await emitter.close()
    }
  },

  'compiled schemas': async ({ HyperEmitter }) => {
    for (let i = 0; i < 300; i++) {
      const message = HyperEmitter.compile(`message m${i} { optional int32 a = 1; repeated string b = 2; }`)[`m${i}`]
      assert.equal(message.decode(message.encode({ a: i })).a, i)
    }
  }
}

/** In the child: runs one scenario and prints what it added. */
async function measure (name) {
  const HyperEmitter = require('..')
  const shared = new HyperEmitter()
  await shared.append('first', 'x')
  const { port } = await shared.listen(0, '127.0.0.1')
  const context = { HyperEmitter, shared, port }
  const held = async () => {
    for (let i = 0; i < 5; i++) {
      global.gc()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
    return { rss, heap: heapUsed + external + arrayBuffers, handles: process.getActiveResourcesInfo().length }
  }
  const rounds = []
  for (let round = 0; round < ROUNDS; round++) {
    await SCENARIOS[name](context)
    rounds.push(await held())
  }
  await shared.close()
  process.stdout.write(JSON.stringify(rounds))
}

if (process.env.LEAK_SCENARIO) measure(process.env.LEAK_SCENARIO)
else {
  for (const name of Object.keys(SCENARIOS)) {
    test(`${name} leave nothing behind`, (t) => {
      const { stdout, stderr, status } = spawnSync(process.execPath, [...FLAGS, path.basename(__filename)], {
        cwd: __dirname, encoding: 'utf8', env: { ...process.env, LEAK_SCENARIO: name, NODE_V8_COVERAGE: '' }, timeout: 300000
      })
      assert.equal(status, 0, stderr)
      const rounds = JSON.parse(stdout)
      const half = rounds[ROUNDS / 2 - 1]
      const last = rounds[ROUNDS - 1]
      t.diagnostic(`MB of process/heap, handles: ${rounds.map(({ rss, heap, handles }) => `${(rss / 1e6).toFixed(1)}/${(heap / 1e6).toFixed(1)}, ${handles}`).join('; ')}`)
      assert.ok(last.heap - half.heap < HEAP_SLACK, `JavaScript heap grows: ${rounds.map(({ heap }) => heap)}`)
      assert.ok(last.rss - half.rss < PROCESS_SLACK, `memory grows: ${rounds.map(({ rss }) => rss)}`)
      assert.ok(last.handles <= half.handles, `handles grow: ${rounds.map(({ handles }) => handles)}`)
    })
  }
}
