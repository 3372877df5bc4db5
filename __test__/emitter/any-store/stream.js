'use strict'

/** The duplex of events. */

const assert = require('node:assert/strict')
const { once, on } = require('node:events')
const { Readable } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const { test } = require('node:test')

const { hear, settled, turns } = require('../helpers')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ make }) {
  test('stream is a duplex in object mode, live from now', async (t) => {
    const emitter = await make(t)
    await emitter.append('T', { num: 0 })
    const stream = emitter.stream()
    t.after(() => stream.destroy())
    assert.deepEqual(
      [stream.readableObjectMode, stream.writableObjectMode, stream.readableHighWaterMark, stream.writableHighWaterMark],
      [true, true, 16, 16])
    const heard = on(stream, 'data')
    assert.equal(stream.write({ name: 'T', payload: { num: 1 } }), true)
    emitter.emit('raw', 'text')
    assert.deepEqual((await heard.next()).value, [{ name: 'T', payload: { foo: '', num: 1 } }])
    assert.deepEqual((await heard.next()).value, [{ name: 'raw', payload: Buffer.from('text') }])
  })

  test('a stream created before ready returns events that are emitted later, not those already stored', async (t) => {
    const emitter = await make(t)
    emitter.emit('T', { num: 1 })
    emitter.emit('T', { num: 2 }, () => {})
    const stream = emitter.stream()
    emitter.emit('T', { num: 3 })
    const last = emitter.stream()
    emitter.emit('T', { num: 4 })
    t.after(() => { stream.destroy(); last.destroy() })
    const heard = on(stream, 'data')
    assert.equal((await heard.next()).value[0].payload.num, 3)
    assert.equal((await heard.next()).value[0].payload.num, 4)
    assert.equal((await once(last, 'data'))[0].payload.num, 4)
  })

  test('stream from the beginning, and after a change', async (t) => {
    const emitter = await make(t)
    for (let num = 1; num <= 5; num++) emitter.emit('T', { num })
    const first = async (opts) => {
      const stream = emitter.stream(opts)
      const [event] = await once(stream, 'data')
      stream.destroy()
      return event.payload.num
    }
    assert.equal(await first({ from: 'beginning' }), 1)
    assert.equal(await first({ from: 0 }), 1)
    assert.equal(await first({ from: 3 }), 4)
    assert.throws(() => emitter.stream({ from: -1 }), { code: 'ERR_HYPER_INVALID_ARG' })
  })

  test('thousands of writes go through (1.x stopped after 16)', async (t) => {
    const emitter = await make(t)
    const stream = emitter.stream()
    const heard = hear(emitter, 'T', 3000)
    let called = 0
    for (let num = 0; num < 3000; num++) stream.write({ name: 'T', payload: { num } }, () => called++)
    await new Promise((resolve) => stream.end(resolve))
    assert.equal(called, 3000)
    assert.deepEqual((await heard).map((message) => message.num), [...Array(3000).keys()])
    assert.equal((await emitter.stats()).change, 3000)
    stream.destroy()
  })

  test('a write of an invalid event throws, and the stream remains usable', async (t) => {
    const emitter = await make(t)
    const stream = emitter.stream()
    assert.throws(() => stream.write({ name: 'T', payload: {} }), { message: 'num is required' })
    assert.throws(() => stream.write({}), { message: 'name is required' })
    const heard = hear(emitter, 'T', 1)
    stream.write({ name: 'T', payload: { num: 1 } })
    assert.equal((await heard)[0].num, 1)
    stream.destroy()
  })

  test('a pipe into a stream fails with the error of an invalid event', async (t) => {
    const emitter = await make(t)
    const events = [{ name: 'T', payload: { num: 1 } }, { name: 'T', payload: {} }, { name: 'T', payload: { num: 2 } }]
    await assert.rejects(pipeline(Readable.from(events), emitter.stream()), { message: 'num is required', code: 'ERR_HYPER_VALUE', event: 'T', field: 'num' })
    await emitter.append('T', { num: 3 })
    assert.equal((await emitter.stats()).change, 2)
    const stream = emitter.stream()
    const source = Readable.from([])
    source.pipe(stream, { end: false })
    await once(source, 'end')
    assert.throws(() => stream.write(events[1]), { message: 'num is required' }, 'nothing is piped any more')
    stream.destroy()
  })

  test('end finishes only the writable side, and destroy releases the stream', async (t) => {
    const emitter = await make(t)
    const stream = emitter.stream()
    const events = []
    for (const name of ['finish', 'end', 'close', 'error']) stream.on(name, () => events.push(name))
    const heard = on(stream, 'data')
    stream.end({ name: 'T', payload: { num: 1 } })
    await once(stream, 'finish')
    emitter.emit('T', { num: 2 })
    assert.equal((await heard.next()).value[0].payload.num, 1)
    assert.equal((await heard.next()).value[0].payload.num, 2)
    stream.destroy(new Error('x'))
    await assert.rejects(heard.next(), { message: 'x' })
    await turns(2)
    assert.deepEqual(events, ['finish', 'error', 'close'])
  })

  test('a stream that nobody reads blocks nothing and loses no event', async (t) => {
    const emitter = await make(t)
    const stream = emitter.stream()
    for (let num = 0; num < 2500; num++) emitter.emit('T', { num })
    await settled(emitter)
    assert.ok(stream.readableLength <= 17)
    const heard = []
    for await (const { name, payload } of stream) {
      if (name === 'T') heard.push(payload.num)
      if (heard.length === 2500) break
    }
    assert.deepEqual(heard, [...Array(2500).keys()])
  })
}
