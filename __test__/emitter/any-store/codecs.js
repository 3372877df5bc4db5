'use strict'

/** Encoding and decoding of payloads. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { hear, settled } = require('../helpers')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ make }) {
  test('registerCodec takes a name, an array, an object; codecs are called as methods', async (t) => {
    const emitter = await make(t, null)
    const json = {
      encode (...args) { assert.deepEqual([this === json, args.length], [true, 1]); return JSON.stringify(args[0]) },
      decode (...args) { assert.deepEqual([this === json, args.length, Buffer.isBuffer(args[0])], [true, 1, true]); return JSON.parse(args[0]) }
    }
    assert.equal(emitter.registerCodec('A', json), emitter)
    emitter.registerCodec([{ name: 'B', codec: json }]).registerCodec({ C: json })
    assert.throws(() => emitter.registerCodec(null), TypeError)
    assert.throws(() => emitter.registerCodec([null]), TypeError)
    assert.equal(emitter.registerCodec(5), emitter)
    const heard = []
    for (const name of ['A', 'B', 'C']) emitter.on(name, (message) => heard.push(message))
    emitter.emit('A', { x: 1 }).emit('B', [2]).emit('C', 'three')
    await settled(emitter)
    assert.deepEqual(heard, [{ x: 1 }, [2], 'three'])
  })

  test('an event is decoded by the codec that is registered when it is delivered', async (t) => {
    const emitter = await make(t)
    const heard = hear(emitter, 'T', 1)
    emitter.emit('T', { num: 1 }, () => emitter.registerCodec('T', { encode: String, decode: String }))
    assert.deepEqual(await heard, ['\u0010\u0001'])
  })

  test('an event that does not decode is skipped with a warning (1.x ended the process)', async (t) => {
    const emitter = await make(t)
    const warned = []
    const heard = []
    emitter.status.on('warning', (error) => warned.push(error))
    emitter.on('T', (message) => heard.push(message.num)).on('U', (message) => heard.push(message.id))
    const codec = emitter.messages.T
    emitter.registerCodec('T', { encode: () => Buffer.alloc(0), decode: codec.decode })
    emitter.emit('T', {}).emit('U', { id: 2 })
    await settled(emitter)
    assert.deepEqual(heard, [2])
    assert.equal(warned.length, 1)
    assert.deepEqual([warned[0].code, warned[0].event, warned[0].change], ['ERR_HYPER_DECODE', 'T', 1])
  })
}
