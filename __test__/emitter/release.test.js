'use strict'

/** When `close` resolves, an emitter has released everything, whenever the garbage collector runs. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, folder, turns } = require('./helpers')

/** Rounds of opening and closing; `npm run attack` makes it thousands. */
const ROUNDS = 150 * Number(process.env.HYPER_ATTACK ?? 1)

const HOST = '127.0.0.1'

function count (of) {
  return fs.readdirSync(`/proc/self/${of}`).length
}

const LIVES = {
  'in memory': async () => {
    const emitter = new HyperEmitter(undefined, SCHEMA)
    await emitter.append('T', { num: 1 })
    await emitter.close()
    return emitter
  },
  'in a folder': async () => {
    const emitter = new HyperEmitter(path.join(folder(), 'db'), SCHEMA)
    await emitter.append('T', { num: 1 })
    for await (const { payload } of emitter.read()) assert.equal(payload.num, 1)
    await emitter.close()
    return emitter
  },
  'with a link': async () => {
    const [one, two] = [new HyperEmitter(undefined, SCHEMA), new HyperEmitter(undefined, SCHEMA)]
    const { port } = await one.listen(0, HOST)
    await two.connect(port, HOST)
    await Promise.all([one.close(), two.close()])
    return [one, two]
  },
  'that did not open': async () => {
    const file = path.join(folder(), 'file')
    fs.writeFileSync(file, 'no store')
    const emitter = new HyperEmitter(file, SCHEMA)
    await assert.rejects(emitter.ready())
    await emitter.close()
    return emitter
  }
}

for (const [which, live] of Object.entries(LIVES)) {
  test(`descriptors and threads of emitters ${which}`, { skip: process.platform !== 'linux' }, async () => {
    const kept = []
    // Counts what the process itself opens at first use.
    for (let round = 0; round < 5; round++) kept.push(await live())
    const before = [count('fd'), count('task')]
    for (let round = 0; round < ROUNDS; round++) {
      kept.push(await live())
      // A thread that has ended is listed for a moment longer.
      for (let turn = 0; turn < 1000 && count('task') !== before[1]; turn++) await turns(1)
      assert.deepEqual([count('fd'), count('task')], before, `after round ${round}`)
    }
  })
}

test('a closed emitter keeps its last change and refuses the rest', async () => {
  const emitter = new HyperEmitter(undefined, SCHEMA)
  await emitter.append('T', { num: 1 })
  await emitter.close()
  await assert.rejects(emitter.append('T', { num: 2 }), { code: 'ERR_HYPER_CLOSED' })
  await assert.rejects(emitter.stats(), { code: 'ERR_HYPER_CLOSED' })
  await assert.rejects(emitter.digest(), { code: 'ERR_HYPER_CLOSED' })
  assert.equal(emitter._hyperlog.changes, 1)
  await emitter.close()
})
