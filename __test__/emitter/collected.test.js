'use strict'

/** An unreferenced emitter releases everything, even if it was not closed. A busy one continues. */

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')

const { child, folder } = require('./helpers')

/** Emitters that are made and dropped; `npm run attack` makes it thousands. */
const ROUNDS = Number(process.env.HYPER_ROUNDS ?? 60)

const linux = process.platform === 'linux'

/**
 * For the child: counts what the process holds, and collects garbage until a condition is met. sled's threads are not counted:
 * the process has up to seven for all emitters, which are started on demand and stay.
 */
const TOOLS = `
  const fs = require('node:fs')
  const path = require('node:path')
  const ofSled = (task) => { try { return fs.readFileSync('/proc/self/task/' + task + '/comm', 'utf8').startsWith('sled-io') } catch { return true } }
  const count = () => [fs.readdirSync('/proc/self/fd').length, fs.readdirSync('/proc/self/task').filter((task) => !ofSled(task)).length]
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1))
  const collected = async (condition) => { while (!condition()) { gc(); await turn() } }
  const settle = async () => { for (let i = 0; i < 5; i++) { gc(); await turn() } }
  const hold = setInterval(() => {}, 1e6)
  process.on('uncaughtException', (error) => { console.log(error); process.exit(1) })`

async function run (script, options) {
  const { code, stdout, stderr } = await child(`${TOOLS}\n;(async () => { ${script}\n clearInterval(hold) })()`, { flags: ['--expose-gc'], limit: 60000, ...options })
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, stdout)
  return stdout
}

describe('dropped without being closed', { skip: !linux }, () => {
  const KINDS = {
    'in memory': 'undefined',
    'in folders': `path.join(${JSON.stringify(folder())}, String(i))`
  }
  for (const [which, db] of Object.entries(KINDS)) {
    test(`emitters ${which} give descriptors and threads back`, async () => {
      await run(`
        const make = async (i) => {
          const emitter = new HyperEmitter(${db}, SCHEMA)
          emitter.on('T', () => {})
          emitter.stream().on('data', () => {})
          emitter.read({ live: true }).next()
          await emitter.append('T', { num: i })
        }
        await make(0)
        await settle()
        const first = count()
        for (let i = 1; i <= ${ROUNDS}; i++) {
          await make(i)
          if (i % 20 === 0) await collected(() => count().every((now, which) => now <= first[which]))
        }
        await collected(() => count().every((now, which) => now <= first[which]))`)
    })
  }

  test('an emitter on a folder releases it to the next one, with everything that was acknowledged', async () => {
    const stdout = await run(`
      const db = ${JSON.stringify(folder())} + '/db'
      await (async () => { await new HyperEmitter(db, SCHEMA).append('T', { num: 7 }) })()
      for (let open = false; !open;) {
        await settle()
        const next = new HyperEmitter(db, SCHEMA)
        open = await next.ready().then(() => true, ({ code }) => { if (code !== 'ERR_HYPER_LOCKED') throw code })
        if (open) for await (const { payload } of next.read()) console.log(payload.num)
        await next.close()
      }`)
    assert.equal(stdout, '7\n')
  })

  test('an emitter on a user\'s database leaves the database open', async () => {
    const memdb = require.resolve('../oracle/node_modules/memdb')
    const stdout = await run(`
      const db = require(${JSON.stringify(memdb)})()
      const close = db.close
      db.close = (...args) => { console.log('closed'); return close.apply(db, args) }
      await (async () => { await new HyperEmitter(db, SCHEMA).append('T', { num: 7 }) })()
      const threads = count()[1]
      await collected(() => count()[1] < threads)
      const next = new HyperEmitter(db, SCHEMA)
      for await (const { payload } of next.read()) console.log(payload.num)
      await next.close()`)
    assert.equal(stdout, '7\nclosed\n')
  })
})

describe('nobody collects', { skip: !linux }, () => {
  test('one that has a link', async () => {
    const stdout = await run(`
      const server = new HyperEmitter(undefined, SCHEMA)
      const { port } = await server.listen(0, '127.0.0.1')
      const heard = new Promise((resolve) => {
        const client = new HyperEmitter(undefined, SCHEMA)
        client.on('T', ({ num }) => resolve(num))
        client.connect(port, '127.0.0.1')
      })
      await new Promise((resolve) => server.status.once('peerConnected', resolve))
      for (let i = 0; i < 20; i++) await settle()
      server.emit('T', { num: 7 })
      console.log(await heard)
      process.exit(0)`)
    assert.equal(stdout, '7\n')
  })

  test('one that listens', async () => {
    const stdout = await run(`
      const { port } = await (async () => {
        const server = new HyperEmitter(undefined, SCHEMA)
        server.on('T', ({ num }) => { console.log(num); process.exit(0) })
        return server.listen(0, '127.0.0.1')
      })()
      for (let i = 0; i < 20; i++) await settle()
      const client = new HyperEmitter(undefined, SCHEMA)
      await client.connect(port, '127.0.0.1')
      client.emit('T', { num: 7 })`)
    assert.equal(stdout, '7\n')
  })

  test('one whose emits, readers or close are under way', async () => {
    const stdout = await run(`
      const db = (name) => ${JSON.stringify(folder())} + '/' + name
      const answers = []
      ;(() => {
        for (let i = 0; i < 100; i++) new HyperEmitter(db('a' + i), SCHEMA).emit('T', { num: i }, (error) => answers.push(error))
        for (let i = 0; i < 50; i++) new HyperEmitter(undefined, SCHEMA).close(() => answers.push(null))
        for (let i = 0; i < 50; i++) new HyperEmitter(undefined, SCHEMA).verify().then(() => answers.push(null))
      })()
      await collected(() => answers.length === 200)
      console.log(answers.every((error) => error === null))
      process.exit(0)`)
    assert.equal(stdout, 'true\n')
  })

  test('one whose stream is in use', async () => {
    const stdout = await run(`
      const stream = new HyperEmitter(undefined, SCHEMA).stream()
      const heard = new Promise((resolve) => stream.once('data', resolve))
      for (let i = 0; i < 20; i++) await settle()
      stream.write({ name: 'T', payload: { num: 7 } })
      console.log((await heard).payload.num)`)
    assert.equal(stdout, '7\n')
  })
})
