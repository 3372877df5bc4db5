'use strict'

const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const HyperEmitter = require('../..')
const { hypem, scratch } = require('./helpers')

/** A store in which the subscription `mails` has parked two entries of four, and `bills` has seen the first two. */
async function store (t) {
  const dir = scratch(t)
  const db = join(dir, 'db')
  const emitter = new HyperEmitter(db, readFileSync(join(dir, 'messages.proto')))
  for (const value of [1, 2]) await emitter.append('Integer', { value })
  const bills = emitter.subscribe('bills', {}, () => {})
  await bills.caughtUp()
  await bills.stop()
  for (const value of [-3, -4]) await emitter.append('Integer', { value })
  const mails = emitter.subscribe('mails', {}, ({ payload: { value } }) => {
    if (value < 0) throw new Error(`no mail about ${value}`)
  }, { attempts: 1 })
  await mails.caughtUp()
  const parked = await mails.parked()
  await emitter.close()
  const run = async (...args) => {
    const { code, stdout, stderr } = await hypem(t, ['consumers', ...args], { cwd: dir })
    return { code, stdout, stderr }
  }
  return { run, parked }
}

test('consumers lists how far each subscription has come and what is parked, and retry, skip, reset and remove change it', async (t) => {
  const { run, parked } = await store(t)
  const listed = (await run('db')).stdout.split('\n')
  assert.match(listed[0], /^name +change +behind +age +parked$/)
  assert.match(listed[1], /^bills +2 +2 +\d+:\d\d(?::\d\d)? +0$/)
  assert.match(listed[2], /^mails +4 +0 +0:00 +2$/)
  const all = JSON.parse((await run('db', '--json')).stdout)
  assert.deepEqual(all.map(({ name, change, behind, parked }) => [name, change, behind, parked]), [['bills', 2, 2, 0], ['mails', 4, 0, 2]])
  assert.match((await run('parked', 'db', 'mails')).stdout, new RegExp(`^${parked[0].cursor}\n  change 3, Integer, 1 attempts, .*Z\n  no mail about -3\n${parked[1].cursor}\n`))
  assert.deepEqual(JSON.parse((await run('parked', 'db', 'mails', '--json')).stdout), parked)

  assert.equal((await run('skip', 'db', 'mails', parked[0].cursor)).code, 0)
  assert.equal((await run('retry', 'db', 'mails', 'all')).code, 0)
  assert.deepEqual(JSON.parse((await run('parked', 'db', 'mails', '--json')).stdout), [parked[1]])
  assert.equal((await run('reset', 'db', 'mails', '1')).code, 0)
  assert.equal((await run('remove', 'db', 'bills')).code, 0)
  const left = JSON.parse((await run('db', '--json')).stdout)
  assert.deepEqual(left.map(({ name, change, behind, parked }) => [name, change, behind, parked]), [['mails', 1, 3, 0]])
})

test('consumers lists projections with version, place and lag, and removes what is kept of one', async (t) => {
  const dir = scratch(t)
  const emitter = new HyperEmitter(join(dir, 'db'), readFileSync(join(dir, 'messages.proto')))
  const run = (...args) => hypem(t, ['consumers', ...args], { cwd: dir })
  await emitter.append('Integer', { value: 1 })
  for (const [name, version] of [['totals', 1], ['sums', 7]]) {
    const projection = emitter.project(name, { version, init: 0, on: { Integer: (sum, { value }) => sum + value } })
    await projection.caughtUp()
    await projection.stop()
  }
  await emitter.append('Integer', { value: 2 })
  await emitter.close()
  const { stdout } = await run('db')
  assert.match(stdout, /^projection +version +answers +change +behind +keys\nsums +7 +7 +1 +1 +1\ntotals +1 +1 +1 +1 +1\n$/)
  const [sums, totals] = JSON.parse((await run('db', '--json')).stdout)
  assert.deepEqual([sums.kind, sums.name, totals.kind, totals.name], ['projection', 'sums', 'projection', 'totals'])
  assert.equal((await run('remove', 'db', 'totals', '--projection')).code, 0)
  assert.deepEqual(JSON.parse((await run('db', '--json')).stdout), [sums])
  const again = await run('remove', 'db', 'totals', '--projection')
  assert.equal(again.code, 1)
  assert.match(again.stderr, /the store knows no projection 'totals'/)
  assert.equal((await run('skip', 'db', 'sums', 'all', '--projection')).code, 2)
})

test('consumers says for how many cursors it did the action before a wrong one', async (t) => {
  const { run, parked } = await store(t)
  const { code, stderr } = await run('skip', 'db', 'mails', parked[0].cursor, 'x', parked[1].cursor)
  assert.equal(code, 1)
  assert.match(stderr, /the text is not log:seq:key; skip was done for 1 of 3 cursors, those before this one/)
  assert.deepEqual(JSON.parse((await run('parked', 'db', 'mails', '--json')).stdout), [parked[1]])
})

test('consumers says what is wrong with its arguments', async (t) => {
  const { run } = await store(t)
  const refused = async (args, code, message) => {
    const result = await run(...args)
    assert.equal(result.code, code, result.stderr)
    assert.match(result.stderr, message)
  }
  await refused(['nosuch'], 1, /there is no store at nosuch/)
  await refused(['parked', 'db', 'nosuch'], 1, /there is no subscription nosuch in this store; hypem consumers db lists them/)
  await refused(['retry', 'db', 'mails'], 2, /CURSOR must be given/)
  await refused(['parked', 'db'], 2, /NAME must be given/)
  await refused(['remove', 'db', 'mails', 'x'], 2, /one argument too many: x/)
  await refused(['delete', 'db', 'mails'], 2, /delete is not one of parked, retry, skip, reset, remove/)
  await refused(['skip', 'db', 'mails', 'x'], 1, /the text is not log:seq:key/)
})
