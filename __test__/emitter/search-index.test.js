'use strict'

/** Conditional appends in a Level database whose index of terms has to be made first. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { test } = require('node:test')

const { ClassicLevel } = require('classic-level')

const { folder } = require('./helpers')
const { make } = require('./stores')

/** More than the index takes before it tells its progress. */
const MANY = 5000

/** An emitter on a Level database with so many events, in which nobody has searched. */
async function filled (t, at = path.join(folder(), 'db')) {
  const emitter = make(t, new ClassicLevel(at))
  let last
  for (let num = 1; num <= MANY; num++) last = emitter.append('T', { num }, num === 7 ? { tags: ['seat:7'] } : undefined)
  await last
  return emitter
}

function hearProgress (emitter) {
  const heard = []
  emitter.status.on('progress', (progress) => heard.push(progress))
  return heard
}

/** Progress ends with all of it. */
function checkProgress (heard) {
  assert.ok(heard.length >= 2)
  for (const [at, { task, done, total }] of heard.entries()) {
    assert.equal(task, 'index')
    assert.ok(done > (heard[at - 1]?.done ?? 0) && total >= MANY)
  }
  assert.equal(heard.at(-1).done, heard.at(-1).total)
}

const taking = (seat) => ({ tags: [seat], failIf: { tags: seat } })

test('other appends continue while the index is built for a condition or an id, and progress is reported', async (t) => {
  for (const options of [taking('seat:8'), { id: 'request' }]) {
    const emitter = await filled(t)
    const heard = hearProgress(emitter)
    const conditional = emitter.append('T', { num: -1 }, options)
    const other = emitter.append('T', { num: -2 })
    assert.equal((await other).change, MANY + 1)
    assert.equal((await conditional).change, MANY + 2)
    checkProgress(heard)
    // Now the index is up to date, and nothing is held back.
    const [next, last] = [emitter.append('T', { num: -3 }, taking('seat:9')), emitter.append('T', { num: -4 })]
    assert.deepEqual([(await next).change, (await last).change], [MANY + 3, MANY + 4])
  }
})

test('appends that wait for the index are checked in the order of the calls', async (t) => {
  const emitter = await filled(t)
  const appends = [taking('seat:1'), taking('seat:1'), taking('seat:7'), { id: 'a' }, { id: 'a' }, { failIf: {} }]
  const answers = await Promise.allSettled(appends.map((options) => emitter.append('T', { num: -1 }, options)))
  const told = answers.map(({ value, reason }) => value?.change ?? [reason.code, reason.change])
  // The last one needs no index.
  assert.deepEqual(told, [MANY + 1, ['ERR_HYPER_CONDITION', MANY + 1], ['ERR_HYPER_CONDITION', 7], MANY + 2, MANY + 2, ['ERR_HYPER_CONDITION', 1]])
})

test('an append that waits for the index is stored as it was passed, and an invalid one is refused', async (t) => {
  const emitter = await filled(t)
  const payload = Buffer.from('as passed')
  const tags = ['seat:1']
  const waiting = emitter.append('raw', payload, { tags, failIf: { tags: 'seat:1' } })
  payload.fill(0)
  tags[0] = 'seat:2'
  await assert.rejects(emitter.append('T', { num: 1 }, { failIf: { tags: 'x'.repeat(300) } }), { code: 'ERR_HYPER_INVALID_ARG' })
  const { change } = await waiting
  const { value } = await emitter.read({ tags: 'seat:1', raw: true }).next()
  assert.deepEqual([value.change, value.raw.toString(), value.tags], [change, 'as passed', ['seat:1']])
})

test('appends that wait for the index are answered when the emitter closes', async (t) => {
  const emitter = await filled(t)
  const waiting = emitter.append('T', { num: -1 }, taking('seat:1'))
  await emitter.close()
  await assert.rejects(waiting, { code: 'ERR_HYPER_CLOSED' })
})

test('the index is built while the database is opened, if a condition already waits for it', async (t) => {
  const at = path.join(folder(), 'db')
  await (await filled(t, at)).close()
  const emitter = make(t, new ClassicLevel(at))
  const heard = hearProgress(emitter)
  const conditional = emitter.append('T', { num: -1 }, taking('seat:8'))
  const other = emitter.append('T', { num: -2 })
  assert.deepEqual([(await conditional).change, (await other).change], [MANY + 1, MANY + 2])
  assert.equal(heard.at(-1).task, 'opening')
  assert.equal(heard.at(-1).done, MANY)
})

test('a search that has to build the index reports its progress', async (t) => {
  const emitter = await filled(t)
  const heard = hearProgress(emitter)
  const { value } = await emitter.read({ tags: 'seat:7' }).next()
  assert.equal(value.change, 7)
  checkProgress(heard)
})
