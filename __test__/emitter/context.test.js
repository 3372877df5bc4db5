'use strict'

/** AsyncLocalStorage: functions that users pass run in the context in which they passed them, and in no other. */

const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { Readable } = require('node:stream')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, settled, until } = require('./helpers')

const request = new AsyncLocalStorage()

function make (t, schema = SCHEMA, opts = undefined) {
  const emitter = request.run('maker', () => new HyperEmitter(undefined, schema, opts))
  t.after(() => emitter.close())
  return emitter
}

/** Calls `start(callback)` in a context of each name; resolves to the contexts in which the callbacks ran. */
function contexts (names, start) {
  return Promise.all(names.map((name) => new Promise((resolve) => {
    request.run(name, () => start(() => resolve(request.getStore()), name))
  })))
}

const NAMES = Array.from({ length: 1000 }, (_, i) => `request ${i}`)

test('callbacks of emits run in the context in which they were passed', async (t) => {
  const emitter = make(t)
  // Before ready, after it, without a codec, and too large for the emit buffer.
  assert.deepEqual(await contexts(NAMES, (done) => emitter.emit('T', { num: 1 }, done)), NAMES)
  assert.deepEqual(await contexts(NAMES, (done) => emitter.emit('T', { num: 1 }, done)), NAMES)
  assert.deepEqual(await contexts(NAMES, (done) => emitter.emit('x', 'y', done)), NAMES)
  assert.deepEqual(await contexts(['a', 'b'], (done) => emitter.emit('x', Buffer.alloc(300000), done)), ['a', 'b'])
  const outside = new Promise((resolve) => emitter.emit('x', 'y', () => resolve(request.getStore())))
  assert.equal(await outside, undefined)
})

test('callbacks of emits that are refused, or that wait for the schema, run in the context in which they were passed', async (t) => {
  const early = make(t, Readable.from([SCHEMA]))
  assert.deepEqual(await contexts(NAMES, (done) => early.emit('T', { num: 1 }, done)), NAMES)
  const faulty = make(t, Readable.from(['message {']))
  faulty.status.on('error', () => {})
  assert.deepEqual(await contexts(NAMES, (done) => faulty.emit('T', { num: 1 }, done)), NAMES)
  const closed = make(t)
  const pending = contexts(NAMES, (done) => closed.emit('x', 'y', done))
  closed.close()
  assert.deepEqual(await contexts(NAMES, (done) => closed.emit('x', 'y', done)), NAMES)
  assert.deepEqual(await pending, NAMES)
})

test('a callback that emits again stays in its context', async (t) => {
  const emitter = make(t)
  const again = await contexts(NAMES, (done) => emitter.emit('T', { num: 1 }, () => emitter.emit('T', { num: 2 }, done)))
  assert.deepEqual(again, NAMES)
})

test('callbacks of all other methods run in the context in which they were passed', async (t) => {
  const emitter = make(t)
  const server = make(t)
  const { port } = await server.listen(0, '127.0.0.1')
  const few = NAMES.slice(0, 20)
  assert.deepEqual(await contexts(few, (done) => emitter.getId(done)), few)
  assert.deepEqual(await contexts(few, (done) => emitter.getId(done)), few)
  assert.deepEqual(await contexts(few, (done) => emitter.connect(port, '127.0.0.1', done)), few)
  assert.deepEqual(await contexts(['a'], (done) => emitter.listen(0, '127.0.0.1', done)), ['a'])
  assert.deepEqual(await contexts(few, (done) => emitter._hyperlog.ready(done)), few)
  assert.deepEqual(await contexts(few, (done) => emitter._hyperlog.heads(done)), few)
  assert.deepEqual(await contexts(few, (done) => emitter._hyperlog.get('0'.repeat(64), done)), few)
  assert.deepEqual(await contexts(['a'], (done) => emitter.verify({ onProgress: done })), ['a'])
  assert.deepEqual(await contexts(few, (done) => emitter.close(done)), few)
  assert.deepEqual(await contexts(few, (done) => emitter.close(done)), few)
})

test('a listener runs in the context in which it was registered, whoever emits', async (t) => {
  const emitter = make(t)
  const heard = []
  const hear = (who) => () => heard.push([who, request.getStore()])
  request.run('first', () => emitter.on('T', hear('first')))
  request.run('second', () => emitter.on('T', (message, done) => { hear('second')(); done() }))
  request.run('third', () => emitter.once('U', hear('third')))
  emitter.on('T', hear(undefined))
  for (const name of NAMES) request.run(name, () => emitter.emit('T', { num: 1 }))
  request.run('emitter of U', () => emitter.emit('U', { id: 1 }))
  await settled(emitter)
  assert.equal(heard.length, 3 * NAMES.length + 1)
  for (const [who, context] of heard) assert.equal(context, who)
})

test('a single listener runs in its context for each of several events', async (t) => {
  const emitter = make(t)
  const heard = new Set()
  request.run('mine', () => emitter.on('T', () => heard.add(request.getStore())))
  for (const name of NAMES) await request.run(name, () => emitter.append('T', { num: 1 }))
  await settled(emitter)
  assert.deepEqual([...heard], ['mine'])
})

test('listeners of status run in the context in which the emitter was created', async (t) => {
  const emitter = make(t, { bad: { encode: (text) => text, decode () { throw new Error('never decodes') } } })
  const heard = []
  for (const kind of ['ready', 'warning', 'peerConnected']) emitter.status.on(kind, () => heard.push([kind, request.getStore()]))
  request.run('listener', () => emitter.on('bad', () => {}))
  const { port } = await request.run('server', () => emitter.listen(0, '127.0.0.1'))
  request.run('sender', () => emitter.emit('bad', 'x'))
  request.run('other', () => make(t).connect(port, '127.0.0.1'))
  await until(() => heard.length === 3)
  assert.deepEqual(heard.map(([kind, context]) => `${kind} ${context}`).sort(), ['peerConnected maker', 'ready maker', 'warning maker'])
})

test('a stream delivers events in the context in which it is read', async (t) => {
  const emitter = make(t)
  const heard = []
  request.run('reader', () => emitter.stream().on('data', () => heard.push(request.getStore())))
  for (const name of NAMES.slice(0, 50)) await request.run(name, () => emitter.append('T', { num: 1 }))
  await until(() => heard.length === 50)
  assert.deepEqual([...new Set(heard)], ['reader'])
})
