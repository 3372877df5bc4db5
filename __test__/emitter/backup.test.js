'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { generateKeyPairSync } = require('node:crypto')
const { once } = require('node:events')
const { spawn } = require('node:child_process')
const { test } = require('node:test')

const { HyperEmitter, ENTRY, SCHEMA, folder, turns } = require('./helpers')

/** An emitter on a new folder with a few events. */
async function emitter (t, options) {
  const dir = folder()
  const db = path.join(dir, 'db')
  const made = new HyperEmitter(db, SCHEMA, options)
  t.after(() => made.close())
  for (let num = 1; num <= 3; num++) await made.append('T', { num })
  return { dir, db, made, backup: path.join(dir, 'backup'), copy: path.join(dir, 'copy') }
}

async function nums (emitter) {
  const found = []
  for await (const { payload } of emitter.read({ names: ['T'] })) found.push(payload.num)
  return found
}

test('a backup of a running emitter becomes a store that goes on in a log of its own, and never forks', async (t) => {
  const { made, backup, copy } = await emitter(t)
  await made.position('mailer', 2)
  const before = await made.stats()
  const told = []
  const { change, digest, bytes, added } = await made.backup(backup, { onProgress: (progress) => told.push(progress) })
  assert.deepEqual([change, digest], [3, await made.digest()])
  assert.ok(bytes > 0 && added === bytes)
  for (const { done, total } of told) assert.ok(done <= total)
  await made.append('T', { num: 4 })

  const restored = await HyperEmitter.restore(backup, copy)
  assert.deepEqual([restored.change, restored.digest], [change, digest])
  assert.notEqual(restored.log, before.log)
  const again = new HyperEmitter(copy, SCHEMA)
  t.after(() => again.close())
  assert.deepEqual(await nums(again), [1, 2, 3])
  assert.equal(await again.position('mailer'), 2)
  assert.equal((await again.stats()).log, restored.log)
  // Both write, and meet.
  await again.append('T', { num: 5 })
  const warnings = []
  for (const each of [made, again]) each.status.on('warning', (error) => warnings.push(error.code))
  const { port } = await made.listen(0, '127.0.0.1')
  await again.connect(port, '127.0.0.1')
  while (await made.digest() !== await again.digest()) await turns(1)
  for (const each of [made, again]) assert.deepEqual((await nums(each)).sort(), [1, 2, 3, 4, 5])
  assert.deepEqual((await made.stats()).stuck, [])
  assert.equal((await made.stats()).log, before.log)
  assert.deepEqual(warnings, [])
})

test('a restored store with an identity needs the same key, and seals a log of its own', async (t) => {
  const identity = generateKeyPairSync('ed25519').privateKey
  const { made, backup, copy } = await emitter(t, { identity })
  await made.backup(backup)
  const { log } = await HyperEmitter.restore(backup, copy)
  assert.ok(log.startsWith(`${made.publicKey}.`), log)
  assert.notEqual(log, (await made.stats()).log)
  const without = new HyperEmitter(copy, SCHEMA)
  await assert.rejects(without.append('T', { num: 4 }), { code: 'ERR_HYPER_IDENTITY' })
  await without.close()
  const again = new HyperEmitter(copy, SCHEMA, { identity })
  t.after(() => again.close())
  assert.equal((await again.append('T', { num: 4 })).log, log)
  await again.verify()
})

test('a reader makes backups while another process writes, and the second run adds what is new', async (t) => {
  const { db, made, backup, copy } = await emitter(t)
  const reader = new HyperEmitter(db, SCHEMA, { readOnly: true })
  t.after(() => reader.close())
  await reader.backup(backup)
  const [, { change }] = await Promise.all([once(reader, 'U'), made.append('U', { id: 1 })])
  const second = await reader.backup(backup, { copy: true })
  assert.equal(second.change, change)
  assert.equal((await HyperEmitter.restore(backup, copy)).digest, await made.digest())
})

test('a process that is killed while it makes a backup leaves the last one, and the store as it was', async (t) => {
  const { dir, db, made, backup } = await emitter(t)
  for (let i = 0; i < 40; i++) await made.append('T', { num: i, foo: 'x'.repeat(1e6) })
  await made.close()
  const script = `
    const HyperEmitter = require(${JSON.stringify(ENTRY)})
    const emitter = new HyperEmitter(${JSON.stringify(db)}, ${JSON.stringify(SCHEMA)})
    async function main () {
      for (let num = 0; ; num++) {
        await emitter.append('T', { num, foo: 'y'.repeat(1e5) })
        const { change, digest } = await emitter.backup(${JSON.stringify(backup)}, { copy: true })
        console.log(JSON.stringify({ change, digest }))
      }
    }
    main()
  `
  let last
  for (let round = 0; round < 6; round++) {
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.setEncoding('utf8')
    for (let finished = 0; finished < 2; finished++) await once(child.stdout, 'data')
    child.stdout.on('data', (text) => { last = text.trim().split('\n').pop() })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'close')
    const { change, digest } = JSON.parse(last)
    const copy = path.join(dir, `copy-${round}`)
    const restored = await HyperEmitter.restore(backup, copy)
    // It may have been killed after the end of another one, before it said so.
    assert.ok(restored.change === change ? restored.digest === digest : restored.change === change + 1)
    fs.rmSync(copy, { recursive: true })
  }
  const again = new HyperEmitter(db, SCHEMA)
  await again.verify()
  await again.close()
})

test('wrong arguments and other kinds of stores are refused', async (t) => {
  const { made, dir, backup } = await emitter(t)
  const code = 'ERR_HYPER_INVALID_ARG'
  for (const path of [undefined, '', 7, 'a\0b']) {
    await assert.rejects(made.backup(path), { name: 'TypeError', code })
    await assert.rejects(HyperEmitter.restore(path, dir), { name: 'TypeError', code })
    await assert.rejects(HyperEmitter.restore(dir, path), { name: 'TypeError', code })
  }
  await assert.rejects(made.backup(backup, { copy: 1 }), { name: 'TypeError', code })
  const memory = new HyperEmitter(undefined, SCHEMA)
  t.after(() => memory.close())
  await assert.rejects(memory.backup(backup), { code, message: /only the embedded store/ })
  fs.writeFileSync(path.join(dir, 'letter'), 'dear')
  await assert.rejects(made.backup(dir), { code, message: /holds "(?:letter|db)"/ })
  await assert.rejects(HyperEmitter.restore(dir, backup), { code: 'ERR_HYPER_STORAGE', system: 'ENOENT' })
  assert.equal(fs.existsSync(backup), false)
})
