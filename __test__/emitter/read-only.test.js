'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { once } = require('node:events')
const { PassThrough } = require('node:stream')
const { test } = require('node:test')
const { ClassicLevel } = require('classic-level')

const { HyperEmitter, ENTRY, SCHEMA, folder, hear, until } = require('./helpers')
const { spawn } = require('node:child_process')

/** A store that is open for writing, and a reader beside it. */
async function both (t, options) {
  const db = path.join(folder(), 'db')
  const writer = new HyperEmitter(db, SCHEMA)
  await writer.append('T', { num: 1 }, { tags: ['odd'] })
  const reader = new HyperEmitter(db, SCHEMA, { readOnly: true, ...options })
  t.after(() => Promise.all([writer.close(), reader.close()]))
  await reader.ready()
  return { db, writer, reader }
}

/** Everything in a folder: names, times, contents. */
function tree (dir) {
  return fs.readdirSync(dir, { recursive: true }).sort().map((name) => {
    const file = path.join(dir, name)
    const stat = fs.statSync(file)
    return [name, stat.mtimeMs, stat.ctimeMs, stat.isFile() ? fs.readFileSync(file).toString('base64') : '']
  })
}

async function all (iterable, what) {
  const found = []
  for await (const entry of iterable) found.push(what(entry))
  return found
}

test('a reader beside the writer has everything that the writer has, and hears what comes', async (t) => {
  const { writer, reader } = await both(t)
  const heard = hear(reader, 'T', 3)
  const live = reader.read({ live: true, tags: ['odd'] })
  const streamed = once(reader.stream(), 'data')
  const nodes = []
  for (let num = 2; num <= 4; num++) nodes.push(await writer.append('T', { num }, { tags: num % 2 === 1 ? ['odd'] : [] }))
  assert.deepEqual((await heard).map(({ num }) => num), [2, 3, 4])
  assert.deepEqual([(await live.next()).value.payload.num, (await live.next()).value.payload.num], [1, 3])
  await live.return()
  assert.deepEqual(await streamed, [{ name: 'T', payload: { foo: '', num: 2 } }])
  await Promise.all([once(reader, 'U'), writer.append('U', { id: 7 })])

  const nums = (options) => all(reader.read(options), ({ payload }) => payload.num ?? payload.id)
  assert.deepEqual(await nums(), [1, 2, 3, 4, 7])
  assert.deepEqual(await nums({ names: ['T'], reverse: true, limit: 2 }), [4, 3])
  assert.deepEqual(await nums({ tags: ['odd'] }), [1, 3])
  assert.deepEqual(await nums({ query: [{ names: ['U'] }, { tags: ['odd'] }] }), [1, 3, 7])
  assert.deepEqual(await nums({ since: 3 }), [4, 7])
  assert.deepEqual(await nums({ since: HyperEmitter.cursorOf(nodes[1]) }), [4, 7])
  assert.deepEqual(await reader.get(nodes[0].key), await writer.get(nodes[0].key))
  assert.equal(await reader.caughtUp(HyperEmitter.cursorOf(nodes[2])), 4)
  assert.deepEqual(await reader.heads(), await writer.heads())
  assert.equal(await reader.digest(), await writer.digest())
  assert.deepEqual(await reader.verify(), await writer.verify())
  assert.deepEqual(await reader.schemas(), await writer.schemas())
  const [{ change, log, logs, sizes }, own] = [await reader.stats(), await writer.stats()]
  assert.deepEqual([change, log, logs], [own.change, own.log, own.logs])
  assert.ok(sizes.data > 0)
})

test('positions, consumers and the id of the store can be read', async (t) => {
  const { writer, reader } = await both(t)
  await writer.position('mailer', 1)
  const id = await writer.getId()
  const subscription = writer.subscribe('all', undefined, async () => {})
  await subscription.caughtUp()
  await subscription.stop()
  await Promise.all([once(reader, 'U'), writer.append('U', { id: 1 })])
  assert.equal(await reader.position('mailer'), 1)
  assert.equal(await reader.getId(), id)
  const [consumer] = (await reader.stats()).consumers
  assert.equal(consumer.name, 'all')
  assert.deepEqual(await reader.consumer('all').parked(), [])
})

test('whatever would write is refused', async (t) => {
  const { db, reader } = await both(t)
  const code = 'ERR_HYPER_READ_ONLY'
  const before = fs.readdirSync(db)
  const emitted = await new Promise((resolve) => reader.emit('T', { num: 1 }, resolve))
  assert.equal(emitted.code, code)
  const warned = once(reader.status, 'warning')
  reader.emit('T', { num: 1 })
  assert.equal((await warned)[0].code, code)
  const calls = {
    append: () => reader.append('T', { num: 1 }),
    batch: () => reader.append([{ name: 'T', payload: { num: 1 } }]),
    condition: () => reader.append('T', { num: 1 }, { id: 'x' }),
    decide: () => reader.decide({ names: ['T'] }, (events, { append }) => append('T', { num: 2 })),
    position: () => reader.position('reader', 1),
    connect: () => reader.connect(1, '127.0.0.1'),
    listen: () => reader.listen(0, '127.0.0.1'),
    handle: () => reader.handle(new PassThrough()),
    subscribe: async () => reader.subscribe('x', { names: 'T' }, () => {}),
    reset: async () => reader.consumer('x').remove(),
    importFrom: () => reader.importFrom(db),
    adopt: () => reader.adopt('some-log'),
    stream: () => new Promise((resolve, reject) => reader.stream().on('error', reject).write({ name: 'T', payload: { num: 1 } }))
  }
  for (const [name, call] of Object.entries(calls)) await assert.rejects(call, { code }, name)
  assert.deepEqual(fs.readdirSync(db), before)
  assert.deepEqual((await reader.stats()).change, 1)
})

test('reading changes nothing in the folder', async (t) => {
  const db = path.join(folder(), 'db')
  const writer = new HyperEmitter(db, SCHEMA)
  for (let num = 0; num < 100; num++) await writer.append('T', { num })
  await writer.close()
  const before = tree(db)
  const reader = new HyperEmitter(db, SCHEMA, { readOnly: true })
  await reader.verify()
  await all(reader.read({ names: ['T'] }), () => {})
  reader.emit('T', { num: 1 }, () => {})
  await reader.getId().catch(() => {})
  await reader.close()
  assert.deepEqual(tree(db), before)
})

test('a writer that is killed again and again: its readers miss nothing and see nothing twice', async (t) => {
  const db = path.join(folder(), 'db')
  const script = `
    const HyperEmitter = require(${JSON.stringify(ENTRY)})
    const emitter = new HyperEmitter(${JSON.stringify(db)}, ${JSON.stringify(SCHEMA)})
    emitter.ready().then(async () => {
      const { change } = await emitter.stats()
      for (let num = change + 1; ; num++) emitter.emit('T', { num, foo: 'x'.repeat(num % 700) }, (error) => console.log(error ? error.code : num))
    }).catch((error) => console.log(error.code))
  `.replace('for (let num = change + 1; ; num++)', 'for (let num = change + 1; ; num++, await (num % 64 ? undefined : new Promise(setImmediate)))')
  let heard
  let reader
  let acknowledged = 0
  for (let round = 0; round < 4; round++) {
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.setEncoding('utf8').on('data', (text) => { acknowledged = Math.max(acknowledged, ...text.trim().split('\n').slice(0, -1).map(Number)) })
    await once(child.stdout, 'data')
    if (reader === undefined) {
      reader = new HyperEmitter(db, SCHEMA, { readOnly: true })
      t.after(() => reader.close())
      reader.on('T', ({ num }) => {
        assert.ok(heard === undefined || num === heard + 1, `heard ${num} after ${heard}`)
        heard = num
      })
      await once(reader, 'T')
    }
    const wanted = heard + 500
    await until(() => heard >= wanted)
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  await until(() => heard >= acknowledged)
  const writer = new HyperEmitter(db, SCHEMA)
  await writer.ready()
  // What was stored and not acknowledged before the kill may still be on its way to the listener.
  const { change } = await writer.append('T', { num: writer._hyperlog.changes + 1 })
  await until(() => heard === change)
  assert.equal(await reader.digest(), await writer.digest())
  await writer.close()
})

test('the option is for folders', async () => {
  const code = 'ERR_HYPER_INVALID_ARG'
  for (const db of [undefined, ':memory:', new ClassicLevel(path.join(folder(), 'level'))]) {
    assert.throws(() => new HyperEmitter(db, SCHEMA, { readOnly: true }), { name: 'TypeError', code, message: /only the embedded store/ })
  }
  assert.throws(() => new HyperEmitter('x', SCHEMA, { readOnly: 1 }), { name: 'TypeError', code })
  const missing = path.join(folder(), 'none')
  const reader = new HyperEmitter(missing, SCHEMA, { readOnly: true })
  await assert.rejects(reader.ready(), { code: 'ERR_HYPER_NOT_A_STORE', message: /there is no such folder/ })
  await reader.close()
  assert.equal(fs.existsSync(missing), false)
})
