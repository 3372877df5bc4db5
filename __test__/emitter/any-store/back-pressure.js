'use strict'

/** How `done` and `pause` hold back later events. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { settled, stored, until, turns } = require('../helpers')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ make }) {
  test('an unanswered first event stops all delivery, of other names too', async (t) => {
    const emitter = await make(t)
    const heard = []
    let answer
    emitter.on('T', (message, done) => { heard.push(`T${message.num}`); answer = done })
    emitter.on('U', (message) => heard.push(`U${message.id}`))
    emitter.emit('T', { num: 0 })
    for (let id = 0; id < 30; id++) emitter.emit('U', { id })
    await stored(emitter)
    assert.deepEqual(heard, ['T0'])
    answer(new Error('ignored'))
    await settled(emitter)
    assert.equal(heard.length, 31)
  })

  test('no event passes a stalled one in the middle', async (t) => {
    const emitter = await make(t)
    const heard = []
    emitter.on('T', (message, done) => heard.push('T'))
    emitter.on('U', (message) => heard.push(message.id))
    for (let id = 0; id < 20; id++) emitter.emit('U', { id })
    emitter.emit('T', { num: 1 })
    for (let id = 20; id < 70; id++) emitter.emit('U', { id })
    await stored(emitter)
    assert.deepEqual(heard, [...Array(20).keys(), 'T'])
  })

  for (const answered of [1, 2, 17, 18]) {
    test(`at most 16 are under way: the first ${answered} answer late`, async (t) => {
      const emitter = await make(t)
      const heard = []
      emitter.on('T', (message, done) => {
        heard.push(message.num)
        if (message.num < answered) setImmediate(done)
      })
      for (let num = 0; num < 200; num++) emitter.emit('T', { num })
      const most = answered <= 2 ? 16 : 32
      await until(() => heard.length >= most)
      await stored(emitter)
      assert.equal(heard.length, most)
      assert.deepEqual(heard, [...heard.keys()])
    })
  }

  test('while listeners answer immediately, events are started one by one', async (t) => {
    const emitter = await make(t)
    let heard = 0
    emitter.on('T', (message, done) => { if (++heard <= 33) done() })
    for (let num = 0; num < 200; num++) emitter.emit('T', { num })
    await stored(emitter)
    assert.equal(heard, 34)
  })

  test('windows of a slow listener have sizes 1, 15, 1, 15', async (t) => {
    const emitter = await make(t)
    const groups = []
    const open = []
    let heard = 0
    emitter.on('T', (message, done) => open.push(done))
    for (let num = 0; num < 34; num++) emitter.emit('T', { num })
    await stored(emitter)
    while (heard < 34) {
      await until(() => open.length > 0)
      await stored(emitter)
      heard += open.length
      groups.push(open.length)
      open.splice(0).forEach((done) => done())
    }
    assert.deepEqual(groups, [1, 15, 1, 15, 1, 1])
  })

  test('done twice counts once (1.x counted it for another listener)', async (t) => {
    const emitter = await make(t)
    let first = 0
    let second = 0
    emitter.on('T', (message, done) => { first++; done(); done() })
    emitter.on('T', (message, done) => { second++ })
    for (let num = 0; num < 40; num++) emitter.emit('T', { num })
    await stored(emitter)
    assert.deepEqual([first, second], [1, 1])
  })

  test('a promise of a listener is not waited for', async (t) => {
    const emitter = await make(t)
    const heard = []
    emitter.on('T', async (message) => {
      heard.push(message.num)
      await new Promise(() => {})
    })
    emitter.emit('T', { num: 1 }).emit('T', { num: 2 })
    await settled(emitter)
    assert.deepEqual(heard, [1, 2])
  })

  test('a stalled listener stops neither emit nor streams nor reads', async (t) => {
    const emitter = await make(t)
    emitter.on('T', (message, done) => {})
    const stream = emitter.stream()
    const seen = []
    stream.on('data', (event) => seen.push(event.payload.num))
    for (let num = 0; num < 50; num++) await emitter.append('T', { num })
    while (seen.length < 50) await turns(1)
    assert.deepEqual(seen, [...Array(50).keys()])
    stream.destroy()
  })

  test('nothing is heard between pause and resume, and nothing is lost', async (t) => {
    const emitter = await make(t)
    const heard = []
    emitter.on('T', (message) => heard.push(message.num))
    emitter.pause()
    emitter.emit('T', { num: 1 })
    await stored(emitter)
    assert.deepEqual(heard, [])
    emitter.resume()
    await settled(emitter)
    assert.deepEqual(heard, [1])
  })
}
