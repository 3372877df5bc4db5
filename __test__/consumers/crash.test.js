'use strict'

/**
 * Subscriptions whose process is killed: no entry is left out, derived events are stored once, and an entry that kills the
 * process is parked. `HYPER_CRASH_RUNS=200` kills it 200 times on each kind of store.
 */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, child, folder, until } = require('../emitter/helpers')
const { OPEN, all, make } = require('../emitter/stores')
const { ATTEMPTS, EVERY, POINTS, POISON } = require('./crash-plan')
const { emitAll, numbers, partsOf } = require('./helpers')

const KILLS = Number(process.env.HYPER_CRASH_RUNS ?? 12)

/** Numbers emitted per kill, so that the work does not end before the kills do. */
const PER_KILL = 20

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

const lines = (dir, name) => fs.readFileSync(path.join(dir, name), 'utf8').split('\n').slice(0, -1).map(Number)

for (const kind of Object.keys(OPEN)) {
  test(`killed ${KILLS} times, subscriptions in ${kind} skip no entry, and derived events are stored once`, async () => {
    const dir = folder()
    const numbers = random(18)
    const draw = (below) => Math.floor(numbers.next().value * below)
    let kills = 0
    while (kills < KILLS) {
      kills++
      assert.equal(await run(kind, dir, kills * PER_KILL, POINTS[draw(POINTS.length)], 1 + draw(PER_KILL)), 'SIGKILL')
    }
    const total = Math.max(kills * PER_KILL, 2 * POISON)
    let end
    for (let more = 0; end !== 0 && more < 2 * ATTEMPTS; more++) end = await run(kind, dir, total, 'none', 0)
    assert.equal(end, 0, 'the entry that kills the process is parked')

    // External effects happen at least once each, and for the first time in order. Repetitions go back no further than
    // documented.
    let most = 0
    let before = 0
    for (const num of lines(dir, 'effects')) {
      assert.ok(num <= most + 1, `${num} comes behind ${most}`)
      if (num <= before) assert.ok(before - num <= 2 * EVERY, `from ${before} back to ${num}`)
      most = Math.max(most, num)
      before = num
    }
    assert.ok(most >= total, `${most} of ${total}`)

    const emitter = new HyperEmitter(OPEN[kind](path.join(dir, 'store')), SCHEMA)
    const entries = await all(emitter.read({ names: 'T' }))
    const emitted = entries.map(({ payload }) => payload.num)
    assert.equal(most, emitted.at(-1))
    const derived = (await all(emitter.read({ names: 'U' }))).map(({ payload }) => payload.id).filter((id) => id > 0).sort((a, b) => a - b)
    const subscription = emitter.subscribe('derived', { names: 'T' }, () => assert.fail('everything is done'))
    // The poison, and perhaps an entry that happened to be under way several times when something else killed the process.
    const parked = (await subscription.parked()).map(({ cursor, attempts, reason }) => {
      assert.deepEqual([attempts, reason], [ATTEMPTS, 'the process ended, or the emitter was closed, while the handler was running'])
      return entries.find((entry) => entry.cursor === cursor).payload.num
    })
    assert.ok(parked.includes(POISON) && parked.length <= 1 + KILLS / ATTEMPTS, `parked: ${parked}`)
    assert.deepEqual(derived, emitted.filter((num) => !parked.includes(num)), 'each once')
    await subscription.caughtUp()
    await emitter.close()
    const deaths = lines(dir, 'deaths')
    assert.ok(deaths.length >= 1 && deaths.length <= ATTEMPTS, `it was begun ${deaths.length} times`)
  })
}

test('an entry that ends the process is parked, however far it was ahead of others', async (t) => {
  const script = `
    const emitter = new HyperEmitter(process.argv.at(-1), SCHEMA)
    emitter.stats().then(async ({ change }) => {
      if (change === 0) {
        for (let num = 1; num <= 50; num++) emitter.emit('T', { num, foo: 'one' })
        await emitter.append('T', { num: 51, foo: 'two' })
      }
      const subscription = emitter.subscribe('mails', {}, ({ payload: { num } }) => {
        if (num === 1) throw new Error('its key waits')
        if (num === 51) process.kill(process.pid, 'SIGKILL')
      }, { key: ({ payload }) => payload.foo, attempts: 4, backoff: 3_600_000, checkpoint: { every: 1 } })
      subscription.on('parked', ({ change }) => change === 51 && emitter.close())
    })
  `
  const db = path.join(folder(), 'store')
  let runs = 0
  for (let end; end !== 0 && runs < 8; runs++) {
    const { code, signal } = await child(script, { args: [db] })
    end = code
    if (end !== 0) assert.equal(signal, 'SIGKILL')
  }
  assert.equal(runs, 5, 'four attempts, and one run that parks it')
})

/** An emitter with ten entries, of which a run of `mails` that was cut off may have begun any. */
async function cutOff (t) {
  const emitter = make(t)
  await emitAll(emitter, 1, 10)
  const record = { change: 0, text: '{"version":1,"change":0,"undone":[],"ahead":100}' }
  await new Promise((resolve, reject) => partsOf(emitter).consumers.records.write('mails', [record], (error) => error ? reject(error) : resolve()))
  return emitter
}

test('events that are stored after the restart are not suspects', async (t) => {
  const emitter = await cutOff(t)
  const calls = []
  const subscription = emitter.subscribe('mails', {}, (entry, { attempt }) => { calls.push(attempt) }).pause()
  await subscription.parked()
  await emitAll(emitter, 11, 15)
  await subscription.resume().caughtUp()
  assert.deepEqual(calls, numbers(1, 15).map((change) => change <= 10 ? 2 : 1))
})

test('a stop while suspects are handled forgets none of them', async (t) => {
  const emitter = await cutOff(t)
  const calls = []
  const subscribe = (handle) => emitter.subscribe('mails', {}, ({ change }, { attempt }) => {
    calls.push([change, attempt])
    return handle(change)
  })
  let finish
  const first = subscribe((change) => change === 3 ? new Promise((resolve) => { finish = resolve }) : undefined)
  await until(() => finish !== undefined)
  const stopped = first.stop()
  finish()
  await stopped
  await subscribe(() => {}).caughtUp()
  assert.deepEqual(calls, numbers(1, 10).map((change) => [change, 2]))
})
