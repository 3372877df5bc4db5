'use strict'

/** What keeps the process alive and what does not, and what happens when the process ends at any stage of an emitter's life. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { describe, test } = require('node:test')

const { child, folder } = require('./helpers')

/** Stores by name: the expression for `db` in a child. */
function stores () {
  return { memory: 'undefined', embedded: JSON.stringify(path.join(folder(), 'db')) }
}

/** Runs a script over each store; it ends by itself with code 0 and these lines. */
async function prints (script, expected) {
  for (const [name, db] of Object.entries(stores())) {
    const { code, signal, stdout, stderr } = await child(script.replaceAll('DB', db))
    assert.deepEqual({ name, stdout, stderr, code, signal }, { name, stdout: expected, stderr: '', code: 0, signal: null })
  }
}

describe('the process ends by itself', () => {
  test('with an idle emitter, after ready', () => prints(`
    HyperEmitter(DB, SCHEMA).status.on('ready', () => console.log('ready'))`, 'ready\n'))

  test('after 500 events without close, all heard', () => prints(`
    const emitter = HyperEmitter(DB, SCHEMA)
    let heard = 0
    let called = 0
    emitter.on('T', ({ num }) => { if (num === heard) heard++ })
    for (let num = 0; num < 500; num++) emitter.emit('T', { num }, () => called++)
    process.on('exit', () => console.log(heard, called))`, '500 500\n'))

  test('after events emitted without callbacks, all heard', () => prints(`
    const emitter = HyperEmitter(DB, SCHEMA)
    let heard = 0
    emitter.on('T', () => heard++)
    for (let num = 0; num < 500; num++) emitter.emit('T', { num })
    process.on('exit', () => console.log(heard))`, '500\n'))

  test('after a stream has had everything', () => prints(`
    const emitter = HyperEmitter(DB, SCHEMA)
    let heard = 0
    emitter.stream().on('data', () => heard++)
    for (let num = 0; num < 500; num++) emitter.emit('T', { num })
    process.on('exit', () => console.log(heard))`, '500\n'))

  test('with an unanswered done', () => prints(`
    const emitter = HyperEmitter(DB, SCHEMA)
    emitter.on('T', (message, done) => console.log('heard', message.num))
    emitter.emit('T', { num: 1 })
    emitter.emit('T', { num: 2 })`, 'heard 1\n'))

  test('with an open stream, a live read, a paused emitter', () => prints(`
    const emitter = HyperEmitter(DB, SCHEMA)
    emitter.stream().on('data', () => {})
    emitter.read({ live: true }).next()
    emitter.on('T', () => console.log('never'))
    emitter.pause().emit('T', { num: 1 }, () => console.log('called'))`, 'called\n'))

  test('when a read in progress has ended', () => prints(`
    const emitter = HyperEmitter(DB, SCHEMA)
    emitter.emit('T', { num: 1 }, async () => {
      for await (const entry of emitter.read()) console.log(entry.name)
      console.log(typeof await emitter.digest(), (await emitter.stats()).change)
    })`, 'T\nstring 1\n'))

  test('after closing what listened and was connected', () => prints(`
    const a = HyperEmitter(DB, SCHEMA)
    const b = HyperEmitter(undefined, SCHEMA)
    b.on('T', (message) => {
      console.log(message.num)
      b.close(() => a.close(() => console.log('closed')))
    })
    a.emit('T', { num: 1 })
    a.listen(0, '127.0.0.1', (error, { port }) => b.connect(port, '127.0.0.1'))`, '1\nclosed\n'))

  test('after ten attempts to connect', () => prints(`
    const emitter = HyperEmitter(DB, SCHEMA, { reconnectTimeout: 2 })
    let errors = 0
    emitter.status.on('connectionError', () => errors++)
    emitter.connect(1, '127.0.0.1', (error) => console.log(error.code, errors, Object.keys(emitter._peers)))`,
  'ECONNREFUSED 10 []\n'))
})

describe('the process is held', () => {
  test('by a listening server, until it closes', async (t) => {
    const { code, stdout } = await child(`
      const emitter = HyperEmitter(undefined, SCHEMA)
      emitter.listen(0, '127.0.0.1', () => {
        console.log('listening')
        const turns = (n) => n === 0 ? emitter.close() : setImmediate(turns, n - 1).unref()
        setTimeout(() => emitter.close(() => console.log('closed')), 300).unref()
      })`)
    assert.deepEqual({ code, stdout }, { code: 0, stdout: 'listening\nclosed\n' })
  })

  test('by a pending redial', async (t) => {
    const { code, stdout } = await child(`
      const emitter = HyperEmitter(undefined, SCHEMA, { reconnectTimeout: 60 })
      emitter.connect(1, '127.0.0.1', () => console.log('gave up'))`)
    assert.deepEqual({ code, stdout }, { code: 0, stdout: 'gave up\n' })
  })
})

describe('process.exit', () => {
  const STAGES = {
    'at construction': 'process.exit(7)',
    'when ready': "emitter.status.on('ready', () => process.exit(7))",
    'right after emits': "for (let num = 0; num < 1000; num++) emitter.emit('T', { num }); process.exit(7)",
    'in a callback': "for (let num = 0; num < 1000; num++) emitter.emit('T', { num }, () => num === 500 && process.exit(7))",
    'in a listener': "emitter.on('T', () => process.exit(7)); emitter.emit('T', { num: 1 })",
    'while listening': "emitter.listen(0, '127.0.0.1', () => process.exit(7))",
    'while reading': "emitter.emit('T', { num: 1 }); emitter.read().next().then(() => process.exit(7)); emitter.verify()",
    'while closing': "emitter.emit('T', { num: 1 }); emitter.close(); setImmediate(() => process.exit(7))",
    'when closed': 'emitter.close(() => process.exit(7))'
  }
  for (const [stage, script] of Object.entries(STAGES)) {
    test(stage, async (t) => {
      for (const [name, db] of Object.entries(stores())) {
        const { code, signal, stderr } = await child(`const emitter = HyperEmitter(${db}, SCHEMA); ${script}`)
        assert.deepEqual({ name, code, signal, stderr }, { name, code: 7, signal: null, stderr: '' })
      }
    })
  }
})

describe('exceptions', () => {
  test('a throwing listener is an uncaught exception', async () => {
    const { code, stdout, stderr } = await child(`
      const emitter = HyperEmitter(undefined, SCHEMA)
      emitter.on('T', () => { throw new Error('handler failed') })
      emitter.emit('T', { num: 1 }, () => console.log('callback'))`)
    assert.equal(stdout, 'callback\n')
    assert.match(stderr, /Error: handler failed/)
    assert.notEqual(code, 0)
  })

  test('after a caught exception, delivery continues with the next listener and event (1.x stopped)', () => prints(`
    process.on('uncaughtException', (error) => console.log('uncaught', error.message))
    const emitter = HyperEmitter(DB, SCHEMA)
    emitter.on('T', (message) => { if (message.num % 2) throw new Error('one ' + message.num) })
    emitter.on('T', (message, done) => { throw new Error('two ' + message.num) })
    emitter.on('T', (message) => console.log('heard', message.num))
    for (let num = 1; num < 4; num++) emitter.emit('T', { num })`,
  [1, 2, 3].map((num) => `${num % 2 ? `uncaught one ${num}\n` : ''}uncaught two ${num}\nheard ${num}\n`).join('')))

  test('a rejecting listener is an uncaught exception, whatever the mode for rejections', async () => {
    const { stdout } = await child(`
      process.on('uncaughtException', (error, origin) => console.log(error.message, origin))
      const emitter = HyperEmitter(undefined, SCHEMA)
      emitter.on('T', async (message) => { throw new Error('async ' + message.num) })
      emitter.on('T', async (message, done) => { done(); throw new Error('done ' + message.num) })
      emitter.emit('T', { num: 1 }).emit('T', { num: 2 })`, { flags: ['--unhandled-rejections=none'] })
    assert.deepEqual(stdout.split('\n').sort(), ['', ...['async 1', 'async 2', 'done 1', 'done 2'].map((text) => `${text} uncaughtException`)])
  })

  test('a throwing callback does not stop the others', () => prints(`
    process.on('uncaughtException', (error) => console.log('uncaught', error.message))
    const emitter = HyperEmitter(DB, SCHEMA)
    for (let num = 1; num < 4; num++) emitter.emit('T', { num }, () => { if (num === 2) throw new Error('mine'); console.log(num) })`,
  '1\nuncaught mine\n3\n'))

  test('ignored promises are never unhandled rejections', () => prints(`
    const emitter = HyperEmitter(DB, SCHEMA)
    emitter.append('T', {})
    emitter.get('x')
    emitter.position('')
    emitter.listen(99999)
    emitter.close(() => {
      emitter.append('T', { num: 1 })
      emitter.connect(1)
      emitter.listen(0)
      emitter.getId()
      emitter.heads()
      emitter.stats()
      emitter.ready()
      emitter.close()
      console.log('closed')
    })`, 'closed\n'))
})
