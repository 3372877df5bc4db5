'use strict'

/** Listeners beside Node's own EventEmitter, and values from other realms. */

const assert = require('node:assert/strict')
const { EventEmitter, on, once } = require('node:events')
const { Readable } = require('node:stream')
const vm = require('node:vm')
const { describe, test } = require('node:test')

const { HyperEmitter, SCHEMA, child, settled, turns, until } = require('./helpers')

function make (t, opts = undefined, schema = SCHEMA) {
  const emitter = new HyperEmitter(undefined, schema, opts)
  t.after(() => emitter.close())
  return emitter
}

test('the number of remembered names without listeners is bounded', async (t) => {
  const emitter = make(t)
  const listener = () => {}
  const heard = (name) => emitter.on(name, listener).off(name, listener)
  for (let n = 0; n < 1024; n++) heard(`name ${n}`)
  emitter.off('name 0', listener)
  heard('one more')
  assert.throws(() => emitter.off('name 0', listener), TypeError)
})

test('rawListeners returns wrappers where Node\'s EventEmitter does', async (t) => {
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

  test('go to the method Symbol.for(\'nodejs.rejection\') if there is one, with the event', async (t) => {
    const emitter = make(t, { captureRejections: true })
    const caught = new Promise((resolve) => {
      emitter[Symbol.for('nodejs.rejection')] = function (...args) { resolve([this === emitter, ...args]) }
    })
    emitter.on('T', async (message, done) => { done(); throw reason })
    emitter.emit('T', { foo: 'x', num: 1 })
    assert.deepEqual(await caught, [true, reason, 'T', { foo: 'x', num: 1 }])
  })

  test('are captured if EventEmitter.captureRejections is set', async () => {
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

test('whatever a listener throws or rejects with, the other listeners are called', async () => {
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

describe('a listener that pauses', () => {
  const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

  test('pauses alone: others hear further events, and it gets what it missed', async (t) => {
    const emitter = make(t)
    const slow = []
    const quick = []
    emitter.on('T', ({ num }) => {
      slow.push(num)
      if (num % 40 === 0) emitter.pause()
    })
    emitter.on('T', ({ num }) => quick.push(num))
    for (let num = 1; num <= 100; num++) emitter.emit('T', { num }).emit('U', { id: num })
    await settled(emitter)
    assert.deepEqual([slow, quick], [range(1, 40), range(1, 100)])
    assert.ok(emitter.isPaused())
    emitter.resume()
    await until(() => slow.length === 80)
    emitter.emit('T', { num: 101 })
    await settled(emitter)
    assert.deepEqual([slow, quick], [range(1, 80), range(1, 101)])
    emitter.resume()
    await until(() => slow.length === 101)
    assert.ok(!emitter.isPaused())
    emitter.emit('T', { num: 102 })
    await settled(emitter)
    assert.deepEqual([slow, quick], [range(1, 102), range(1, 102)])
  })

  test('is forgotten when it is removed', async (t) => {
    const emitter = make(t)
    const pausing = () => emitter.pause()
    emitter.on('T', pausing)
    await emitter.append('T', { num: 1 })
    await settled(emitter)
    assert.ok(emitter.isPaused())
    emitter.removeListener('T', pausing)
    assert.ok(!emitter.isPaused())
  })

  test('that throws while it catches up causes an uncaught exception, and continues', async () => {
    const { stdout } = await child(`
      process.on('uncaughtException', ({ message }) => console.log('uncaught', message))
      const emitter = HyperEmitter(undefined, SCHEMA)
      let paused = false
      emitter.on('T', ({ num }) => {
        if (!paused) { paused = true; emitter.pause() }
        if (num === 2) throw new Error('two')
        console.log(num)
      })
      for (let num = 1; num <= 4; num++) emitter.emit('T', { num })
      emitter.once('done', () => emitter.resume())
      emitter.emit('done', '')`)
    assert.equal(stdout, '1\nuncaught two\n3\n4\n')
  })

  test('pauses all if pause is called outside of a listener', async (t) => {
    const emitter = make(t)
    const heard = []
    emitter.on('T', ({ num }) => heard.push(num))
    emitter.pause()
    emitter.emit('T', { num: 1 })
    await emitter.append('T', { num: 2 })
    await turns(5)
    assert.deepEqual(heard, [])
    emitter.resume()
    await settled(emitter)
    assert.deepEqual(heard, [1, 2])
  })
})

describe('events.on with a high-water mark', () => {
  test('holds back no other listener, and leaving the loop removes its listener', async (t) => {
    const emitter = make(t)
    let others = 0
    emitter.on('U', () => others++)
    for (let num = 0; num < 100; num++) emitter.emit('T', { num })
    for await (const [{ num }] of on(emitter, 'T', { highWaterMark: 10 })) {
      // A reader that stops at a high-water mark of 10, while all others go on.
      if (num === 0) await emitter.append('U', { id: 1 })
      await settled(emitter)
      assert.equal(others, 1)
      if (num === 3) break
    }
    assert.ok(!emitter.isPaused())
    await emitter.append('U', { id: 2 })
    await settled(emitter)
    assert.equal(others, 2)
  })

  test('two loops at their own pace hear everything, and keep no more than their marks', async (t) => {
    const emitter = make(t)
    const loop = async (mark, every) => {
      const heard = []
      for await (const [{ num }] of on(emitter, 'T', { highWaterMark: mark, lowWaterMark: 2 })) {
        heard.push(num)
        if (num % every === 0) await turns(3)
        if (num === 499) return heard
      }
    }
    const both = [loop(4, 1), loop(30, 50)]
    for (let num = 0; num < 500; num++) emitter.emit('T', { num })
    for (const heard of await Promise.all(both)) assert.deepEqual(heard, [...Array(500).keys()])
    assert.ok(!emitter.isPaused())
    assert.deepEqual(emitter.eventNames(), [])
  })
})

test('a stream that is created while the schema is read starts after the events emitted before it, even if some are refused', async (t) => {
  const emitter = make(t, { maxEventSize: 100000 }, Readable.from([SCHEMA]))
  const answers = []
  emitter.emit('T', { num: 1 }, (error) => answers.push(error))
  emitter.emit('T', {}, (error) => answers.push(error))
  emitter.emit('T', { num: 2 })
  const stream = emitter.stream()
  t.after(() => stream.destroy())
  emitter.emit('T', { num: 3 })
  assert.equal((await once(stream, 'data'))[0].payload.num, 3)
  assert.deepEqual([answers.length, answers.filter((error) => error === null).length], [2, 1])
})
