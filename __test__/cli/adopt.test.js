'use strict'

const assert = require('node:assert/strict')
const { cpSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const HyperEmitter = require('../..')
const { forks, MAX_FORKS_NAMED } = require('../../lib/cli/forks')
const { hello, hypem, listening, scratch } = require('./helpers')

/** Two stores with different versions of a third emitter's log, because both its store and a copy of it were written to. */
async function forked (t) {
  const dir = scratch(t)
  const schema = join(dir, 'messages.proto')
  const run = async (args, input) => {
    const result = await hypem(t, args, { cwd: dir, input })
    assert.equal(result.code, 0, result.stderr)
    return result.stdout
  }
  await run(['import', 'original', '--schema', schema], hello('both'))
  cpSync(join(dir, 'original'), join(dir, 'copied'), { recursive: true })
  await run(['import', 'original', '--schema', schema], hello('only the original 1') + hello('only the original 2'))
  await run(['import', 'copied', '--schema', schema], hello('only the copy'))
  await run(['import', 'a', 'original'])
  await run(['import', 'b', 'copied'])
  const { ownLog } = JSON.parse(await run(['stats', 'original', '--json']))
  return { dir, schema, run, log: ownLog }
}

test('adopt takes a peer\'s version of a forked log; the events that it replaces move to a new log, and reach all peers', async (t) => {
  const { dir, schema, run, log } = await forked(t)
  const { run: peer, port } = await listening(t, [schema, '--no-repl', '--db', join(dir, 'a')])
  const { moved, seq } = JSON.parse(await run(['adopt', 'b', log, '--connect', `127.0.0.1:${port}`, '--json']))
  assert.equal(seq, 2)
  await peer.until('only the copy')
  await peer.kill('SIGTERM')
  const said = async (...args) => (await run(['log', ...args, '--json', '--schema', schema])).trim().split('\n').map((line) => JSON.parse(line).payload.message)
  const { logs } = JSON.parse(await run(['stats', 'b', '--json']))
  assert.equal(logs.find((each) => each.log === log).seq, 3)
  assert.deepEqual((await said('b')).filter(Boolean).sort(), ['both', 'only the copy', 'only the original 1', 'only the original 2'])
  assert.deepEqual(await said('b', '--origin', moved), ['only the copy'])
  await run(['digest', 'a', 'b'])
  for (const store of ['a', 'b']) {
    const { checks } = JSON.parse(await run(['doctor', store, '--json']))
    const fork = checks.find(({ name, detail }) => name === 'forked log' && detail.includes(moved))
    assert.deepEqual([fork.ok, fork.note], [true, true])
    assert.match(fork.detail, new RegExp(`^${log} has forked at entry 2: one version, 1 entry since \\d{4}-\\S*, is here as ${moved};`))
  }
})

test('adopt says when there is nothing to adopt, and what it needs', async (t) => {
  const { dir, schema, log } = await forked(t)
  const { port } = await listening(t, [schema, '--no-repl', '--db', join(dir, 'a')])
  const link = ['--connect', `127.0.0.1:${port}`]
  const nothing = await hypem(t, ['adopt', 'new', log, ...link], { cwd: dir })
  assert.match(nothing.stderr, /^hypem: there is no store at new\n$/)
  const unknown = await hypem(t, ['adopt', 'b', 'nosuch', ...link], { cwd: dir })
  assert.deepEqual([unknown.code, /there is no log nosuch in this store/.test(unknown.stderr)], [1, true], unknown.stderr)
  assert.equal((await hypem(t, ['adopt', 'b', log], { cwd: dir })).code, 2)
})

test('doctor names a log that was stuck when the store last had links, even after a crash, until it is adopted', async (t) => {
  const { dir, schema, run, log } = await forked(t)
  const { run: peer, port } = await listening(t, [schema, '--no-repl', '--db', join(dir, 'a')])
  const stuckLogs = async (store) => JSON.parse(await run(['doctor', store, '--json'])).checks.filter(({ name }) => name === 'stuck log')
  const hyper = new HyperEmitter(join(dir, 'b'))
  t.after(() => hyper.close())
  const began = Date.now()
  await hyper.connect(port, '127.0.0.1')
  const until = async (holds) => {
    for (let stats = await hyper.stats(); !holds(stats); stats = await hyper.stats()) await new Promise(setImmediate)
  }
  await until(({ stuck }) => stuck.length === 1)
  // A copy of a store in use is what a crash leaves behind.
  let found = []
  for (let copy = 0; found.length === 0; copy++) {
    cpSync(join(dir, 'b'), join(dir, `crashed${copy}`), { recursive: true })
    found = await stuckLogs(`crashed${copy}`)
  }
  await until(({ stuck }) => stuck[0].behind === 2)
  const { stuck: [{ theirs, since }] } = await hyper.stats()
  await hyper.close()
  found = await stuckLogs('b')
  const text = /^as of (\S+), peers hold another version of (\S+) from entry 2 on, since (\S+): 2 entries of it are not here under this id\. To take that version: hypem adopt DB LOG --connect HOST:PORT --key ([0-9a-f]{64})$/
  const [, seen, ...said] = text.exec(found[0].detail) ?? assert.fail(found[0].detail)
  assert.deepEqual([found.length, found[0].ok, found[0].note], [1, true, true])
  assert.deepEqual(said, [log, new Date(since).toISOString(), theirs])
  assert.ok(Date.parse(seen) >= since && since >= began)
  await run(['adopt', 'b', log, '--connect', `127.0.0.1:${port}`, '--key', theirs])
  assert.deepEqual(await stuckLogs('b'), [])
  await peer.kill('SIGTERM')
})

test('doctor does not take a log\'s own version for another one, although it arrived as a branch before it was adopted', async (t) => {
  const { dir, schema, run, log } = await forked(t)
  const { run: peer, port } = await listening(t, [schema, '--no-repl', '--db', join(dir, 'a')])
  const hyper = new HyperEmitter(join(dir, 'b'))
  t.after(() => hyper.close())
  await hyper.connect(port, '127.0.0.1')
  const until = async (holds) => {
    for (let stats = await hyper.stats(); !holds(stats); stats = await hyper.stats()) await new Promise(setImmediate)
  }
  await until(({ stuck, logs }) => stuck.length === 1 && logs.some((each) => each.log.endsWith(`${stuck[0].theirs}-${log}`) && each.seq === 2))
  const moved = await hyper.adopt(log)
  await until(({ stuck, logs }) => stuck.length === 0 && logs.some((each) => each.log === log && each.seq === 3))
  assert.equal((await hyper.stats()).logs.filter((each) => each.log.endsWith(`-${log}`)).length, 2)
  await hyper.close()
  await peer.kill('SIGTERM')
  const { ok, checks } = JSON.parse(await run(['doctor', 'b', '--json']))
  const found = checks.filter(({ name }) => name === 'forked log').map(({ detail }) => detail)
  assert.deepEqual([ok, found.length, found[0]?.includes(moved)], [true, 1, true], found.join('\n'))
})

test('doctor names some versions of forked logs, and counts the rest', async () => {
  const forged = Array.from({ length: MAX_FORKS_NAMED + 2 }, (_, n) => ({ log: `fork-1-${n.toString(16).padStart(64, '0')}-log`, seq: 1 }))
  const beyond = { log: `fork-99999999999999999999-${'f'.repeat(64)}-log`, seq: 1 }
  const hyper = { get: async () => undefined }
  const texts = await forks(hyper, [{ log: 'log', seq: 5 }, ...forged, beyond])
  assert.deepEqual([texts.length, texts.at(-1)], [MAX_FORKS_NAMED + 1, 'there are 3 more such versions'])
})
