'use strict'

/**
 * Appends whose process is killed: no batch is stored in part, no condition is broken, no id is used twice, and nothing acknowledged
 * is lost. `HYPER_CRASH_RUNS=200` kills it 200 times on each store.
 */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, folder } = require('./helpers')
const { STORES, eventsOf, random, requestOf } = require('./killed-plan')
const { all } = require('./stores')

const KILLS = Number(process.env.HYPER_CRASH_RUNS ?? 4)

/** Most appends that a run has acknowledged before it is killed. */
const MOST = 150

async function run (...args) {
  const victim = spawn(process.execPath, [path.join(__dirname, 'appending-victim.js'), ...args.map(String)], { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code, signal] = await once(victim, 'exit')
  return code ?? signal
}

/** The events that were acknowledged: change, number, place in the append. */
function acknowledged (dir) {
  const lines = fs.readFileSync(path.join(dir, 'acknowledged'), 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => /^(\d+) (-?\d+) (.*)$/.exec(line).slice(1))
}

/** The appends that are stored, each with its first change; fails if one is not whole. */
function appendsOf (entries) {
  const appends = []
  for (let at = 0; at < entries.length;) {
    const { change, payload: { num, foo }, tags } = entries[at]
    const count = Number(foo.split(' of ')[1])
    const stored = entries.slice(at, at + count).map(({ payload }) => payload)
    assert.deepEqual(stored, eventsOf(num, count).map(({ payload }) => payload), `the append from change ${change} on is whole`)
    appends.push({ change, num, tags })
    at += count
  }
  return appends
}

const unique = (list) => assert.equal(new Set(list).size, list.length)

for (const [what, store] of Object.entries(STORES)) {
  test(`killed ${KILLS} times, ${what} holds whole batches, and what was excluded is not there`, async () => {
    const dir = folder()
    const draw = random(17)
    for (let kill = 1; kill <= KILLS; kill++) {
      assert.equal(await run(what, dir, kill, 1 + draw(MOST)), 'SIGKILL')
      const emitter = new HyperEmitter(store(path.join(dir, 'store')), SCHEMA)
      const entries = await all(emitter.read())
      for (const [change, num, foo] of acknowledged(dir)) assert.deepEqual(entries[change - 1]?.payload, { num: Number(num), foo })
      const appends = appendsOf(entries)
      unique(appends.flatMap(({ tags }) => tags ?? []))
      const requests = appends.filter(({ num }) => num < 0)
      unique(requests.map(({ num }) => num))

      // What is stored counts for the next appends.
      const request = requests.at(-1)
      if (request !== undefined) assert.equal((await emitter.append(...requestOf(-request.num - 1)))[0].change, request.change)
      const taken = appends.findLast(({ tags }) => tags !== undefined)
      if (taken !== undefined) await assert.rejects(emitter.append('T', { num: 1 }, { failIf: { tags: taken.tags } }), { code: 'ERR_HYPER_CONDITION', change: taken.change })
      await emitter.verify()
      await emitter.close()
    }
  })
}
