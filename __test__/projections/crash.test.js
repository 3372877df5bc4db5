'use strict'

/**
 * Projections whose process is killed: what is kept is what a replay up to the kept position gives. `HYPER_CRASH_RUNS=200` kills
 * it 200 times on each kind of store.
 */

const assert = require('node:assert/strict')
const path = require('node:path')
const { deserialize } = require('node:v8')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, folder } = require('../emitter/helpers')
const { OPEN, all } = require('../emitter/stores')
const { POINTS, projections, replay } = require('./crash-plan')
const { entriesOf, keptOf } = require('./helpers')

const KILLS = Number(process.env.HYPER_CRASH_RUNS ?? 8)

/** Numbers emitted per kill, so that the work does not end before the kills do. */
const PER_KILL = 40

const ALL = { rows: 1000, bytes: 1 << 20 }

/** The same each time. */
function * random (seed) {
  while (true) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    yield seed / 2 ** 32
  }
}

async function run (kind, dir, ...args) {
  const victim = spawn(process.execPath, [path.join(__dirname, 'victim.js'), kind, dir, ...args.map(String)], { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code, signal] = await once(victim, 'exit')
  return code ?? signal
}

/** The states of a generation in the store, by key. */
async function statesOf (emitter, id) {
  const found = await keptOf(emitter).range(`s!${id}!`, `s!${id}"`, ALL)
  return new Map(found.map(([key, bytes]) => [key.slice(19), deserialize(bytes)]))
}

/** Checks everything that is kept. Returns how many generations there are that nobody has derived to the end. */
async function check (emitter, definitions) {
  const entries = await all(emitter.read({ names: 'T' }))
  const known = new Set()
  let building = 0
  for (const [key, bytes] of await keptOf(emitter).range('r!', 'r"', ALL)) {
    const record = JSON.parse(bytes)
    record.gone.forEach((id) => known.add(id))
    if (record.building !== undefined) building++
    for (const generation of [record.live, record.building]) {
      if (generation === undefined) continue
      known.add(generation.id)
      const states = await statesOf(emitter, generation.id)
      const expected = replay(definitions[key.slice(2)], entries.filter(({ change }) => change <= generation.change))
      assert.deepEqual(new Map([...states].sort()), new Map([...expected].sort()), `${key} at ${generation.change}`)
      assert.equal(generation.keys, states.size)
    }
  }
  for (const key of await keptOf(emitter).keys('s!', 's"', ALL)) assert.ok(known.has(key.slice(2, 18)), `${key} belongs to nothing`)
  return building
}

for (const kind of Object.keys(OPEN)) {
  test(`killed ${KILLS} times, what is kept in ${kind} is what a replay up to its position gives`, async () => {
    const dir = path.join(folder(), 'store')
    const numbers = random(18)
    const draw = (below) => Math.floor(numbers.next().value * below)
    for (let kill = 1; kill <= KILLS; kill++) {
      const point = POINTS[draw(POINTS.length)]
      assert.equal(await run(kind, dir, kill, kill * PER_KILL, point, 1 + draw(point === 'reduce' ? 3 * PER_KILL : 12)), 'SIGKILL')
      const emitter = new HyperEmitter(OPEN[kind](dir), SCHEMA)
      await check(emitter, projections(kill))
      await emitter.close()
    }
    assert.equal(await run(kind, dir, KILLS, KILLS * PER_KILL, 'none', 0), 0)
    const emitter = new HyperEmitter(OPEN[kind](dir), SCHEMA)
    assert.equal(await check(emitter, projections(KILLS)), 0, 'all versions were derived to the end')
    const entries = await all(emitter.read({ names: 'T' }))
    for (const [name, definition] of Object.entries(projections(KILLS))) {
      const never = () => assert.fail('everything is in the states')
      const projection = emitter.project(name, { ...definition, on: { T: never } })
      await projection.caughtUp()
      assert.deepEqual(await entriesOf(projection), Object.fromEntries(replay(definition, entries)))
    }
    await emitter.close()
  })
}
