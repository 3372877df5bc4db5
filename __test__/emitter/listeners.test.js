'use strict'

/** Listeners beside Node's own EventEmitter, and values from other realms. */

const assert = require('node:assert/strict')
const { EventEmitter, once } = require('node:events')
const { Readable } = require('node:stream')
const vm = require('node:vm')
const { describe, test } = require('node:test')

const { HyperEmitter, SCHEMA, child, settled, until } = require('./helpers')

function make (t, opts = undefined, schema = SCHEMA) {
  const emitter = new HyperEmitter(undefined, schema, opts)
  t.after(() => emitter.close())
  return emitter
}

test('rawListeners shows wrappers where Node does', async (t) => {
  const emitter = make(t)
  const node = new EventEmitter()
  const heard = []
  const always = () => heard.push('always')
  const single = () => heard.push('single')
  for (const each of [emitter, node]) {
    each.on('T', always).once('T', single)
    const [first, second] = each.rawListeners('T')
    assert.equal(first, always)
    assert.equal(second.listener, single)
    assert.equal(each.rawListeners('T')[1], second)
    assert.deepEqual(each.listeners('T'), [always, single])
    second()
    assert.deepEqual(each.listeners('T'), [always])
    each.once('T', single)
    each.removeListener('T', each.rawListeners('T')[1])
    assert.deepEqual(each.listeners('T'), [always])
  }
  assert.deepEqual(heard, ['single', 'single'])
})

test('setMaxListeners is kept', (t) => {
  const emitter = make(t)
  assert.equal(emitter.setMaxListeners(50), emitter)
  assert.equal(emitter.getMaxListeners(), 50)
})

describe('rejections of listeners', () => {
  const reason = new Error('mine')

  test('go to status with captureRejections', async (t) => {
    const emitter = make(t, { captureRejections: true })
    const failed = once(emitter.status, 'ready').then(() => new Promise((resolve) => emitter.status.on('error', resolve)))
    emitter.on('T', async () => { throw reason })
    emitter.emit('T', { num: 1 })
    assert.equal(await failed, reason)
  })

  test('go to the method of that symbol, with the event', async (t) => {
    const emitter = make(t, { captureRejections: true })
    const caught = new Promise((resolve) => {
      emitter[Symbol.for('nodejs.rejection')] = function (...args) { resolve([this === emitter, ...args]) }
    })
    emitter.on('T', async (message, done) => { done(); throw reason })
    emitter.emit('T', { foo: 'x', num: 1 })
    assert.deepEqual(await caught, [true, reason, 'T', { foo: 'x', num: 1 }])
  })

  test('are captured where EventEmitter says so for all', async () => {
    const { stdout } = await child(`
      require('node:events').captureRejections = true
      const emitter = HyperEmitter(undefined, SCHEMA)
      const other = HyperEmitter(undefined, SCHEMA, { captureRejections: false })
      process.on('uncaughtException', (error) => console.log('uncaught', error.message))
      emitter.status.on('error', (error) => console.log('captured', error.message))
      emitter.on('T', async () => { throw new Error('one') })
      emitter.emit('T', { num: 1 })
      other.on('T', async () => { throw new Error('two') })
      other.emit('T', { num: 1 })`)
    assert.deepEqual(stdout.split('\n').sort(), ['', 'captured one', 'uncaught two'])
  })

  test('the option is true or false', () => {
    assert.throws(() => new HyperEmitter(undefined, SCHEMA, { captureRejections: 1 }), { code: 'ERR_HYPER_INVALID_ARG' })
  })
})

test('whatever a listener throws or rejects with, the others go on', async () => {
  const { stdout, code } = await child(`
    process.on('uncaughtException', (error) => console.log('uncaught', error))
    const emitter = HyperEmitter(undefined, SCHEMA)
    for (const thrown of [undefined, null, 'text']) {
      emitter.once('T', () => { throw thrown })
      emitter.once('T', (message, done) => { throw thrown })
      emitter.once('T', async () => { throw thrown })
      emitter.once('T', () => ({ then (resolve, reject) { reject(thrown) } }))
      emitter.emit('T', { num: 1 }, () => { throw thrown })
    }
    emitter.on('T', () => console.log('heard'))
    for (let num = 0; num < 3; num++) emitter.emit('T', { num })`)
  const lines = stdout.trim().split('\n')
  assert.equal(code, 0)
  assert.equal(lines.filter((line) => line === 'heard').length, 6)
  for (const thrown of ['undefined', 'null', 'text']) {
    assert.equal(lines.filter((line) => line === `uncaught ${thrown}`).length, 5, stdout)
  }
})

test('a codec that throws undefined fails the write, the append and the emit', async (t) => {
  const emitter = make(t, undefined, { odd: { encode () { throw undefined }, decode: String } }) // eslint-disable-line no-throw-literal
  const failure = async (run) => {
    try {
      await run()
    } catch (thrown) {
      return { thrown }
    }
  }
  assert.deepEqual(await failure(() => emitter.emit('odd', 'x')), { thrown: undefined })
  assert.deepEqual(await failure(() => emitter.append('odd', 'x')), { thrown: undefined })
  const stream = emitter.stream()
  assert.deepEqual(await failure(() => stream.write({ name: 'odd', payload: 'x' })), { thrown: undefined })
  const failed = once(stream, 'error')
  stream.cork()
  stream.write({ name: 'odd', payload: 'x' })
  process.nextTick(() => stream.uncork())
  assert.match((await failed)[0].message, /undefined/)
  assert.equal((await emitter.stats()).change, 0)
})

test('a schema stream that fails with undefined is a failure', async (t) => {
  const stream = { pipe () {}, async * [Symbol.asyncIterator] () { throw undefined } } // eslint-disable-line no-throw-literal
  const emitter = make(t, undefined, stream)
  const failed = once(emitter.status, 'error')
  const refused = new Promise((resolve) => emitter.emit('x', 'y', resolve))
  assert.ok((await refused) instanceof Error)
  assert.ok((await failed)[0] instanceof Error)
})

test('bytes of another realm are bytes', async (t) => {
  const foreign = (length) => vm.runInNewContext(`new Uint8Array(${length}).fill(65)`)
  const emitter = make(t, undefined, { text: { encode: (length) => foreign(length), decode: String } })
  const heard = []
  emitter.on('raw', (payload) => heard.push(payload.toString().length)).on('text', (text) => heard.push(text.length))
  for (const length of [0, 3, 300000]) emitter.emit('raw', foreign(length)).emit('text', length)
  await settled(emitter)
  await until(() => heard.length === 6)
  assert.deepEqual(heard, [0, 0, 3, 3, 300000, 300000])
  const schema = new (vm.runInNewContext('Uint8Array'))(Buffer.from('message M { optional int32 a = 1; }'))
  assert.ok(make(t, undefined, schema).messages.M)
  assert.ok(HyperEmitter.compile(schema).M)
  const streamed = make(t, undefined, Readable.from([schema]))
  await streamed.append('M', { a: 1 })
  assert.ok(streamed.messages.M)
})
