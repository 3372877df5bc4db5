'use strict'

/** Delivery to listeners, and the methods of an EventEmitter. */

const assert = require('node:assert/strict')
const { once, on } = require('node:events')
const { test } = require('node:test')

const { settled, until } = require('../helpers')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ make }) {
  test('a listener with two parameters gets done, and the emitter as this; one with fewer counts as answered', async (t) => {
    const emitter = await make(t)
    const calls = []
    emitter.on('T', function () { calls.push(['none', arguments.length]) })
    emitter.on('T', function (message) { 'use strict'; calls.push(['one', this]) })
    emitter.on('T', (message, extra = 5) => { calls.push(['defaulted', extra]) })
    emitter.on('T', (...all) => { calls.push(['rest', all.length]) })
    emitter.on('T', function (message, done) { calls.push(['two', this === emitter, typeof done, arguments.length]); done() })
    emitter.on('T', (message, done, third) => { calls.push(['three', third]); done() })
    emitter.emit('T', { num: 1 })
    await settled(emitter)
    assert.deepEqual(calls, [
      ['none', 1], ['one', undefined], ['defaulted', 5], ['rest', 1], ['two', true, 'function', 2], ['three', undefined]
    ])
  })

  test('all listeners get the same object', async (t) => {
    const emitter = await make(t)
    const seen = []
    emitter.on('T', (message) => { message.extra = 1; seen.push(message) })
    emitter.on('T', (message, done) => { seen.push(message); done() })
    emitter.emit('T', { num: 1 })
    await settled(emitter)
    assert.equal(seen[0], seen[1])
    assert.equal(seen[1].extra, 1)
  })

  test('a listener added by a listener of the same event hears it', async (t) => {
    const emitter = await make(t)
    const heard = []
    emitter.once('T', (message) => {
      heard.push(`a${message.num}`)
      emitter.on('T', (message) => heard.push(`b${message.num}`))
    })
    for (let num = 0; num < 3; num++) emitter.emit('T', { num })
    await settled(emitter)
    assert.deepEqual(heard, ['a0', 'b0', 'b1', 'b2'])
  })

  test('a listener for another event that is added during delivery hears the events that follow', async (t) => {
    const emitter = await make(t)
    const heard = []
    emitter.once('T', () => emitter.on('U', (message) => heard.push(message.id)))
    emitter.emit('U', { id: 0 }).emit('T', { num: 1 })
    for (let id = 1; id < 50; id++) emitter.emit('U', { id })
    await settled(emitter)
    assert.deepEqual(heard, Array.from({ length: 49 }, (_, i) => i + 1))
  })

  test('removing listeners during delivery skips no other listener and does not stop delivery (1.x halted)', async (t) => {
    const emitter = await make(t)
    const heard = []
    function mine (message) {
      heard.push(`once${message.num}`)
      emitter.removeListener('T', mine)
    }
    function later (message) { heard.push(`later${message.num}`) }
    emitter.on('T', mine)
    emitter.on('T', (message) => {
      heard.push(`b${message.num}`)
      emitter.removeListener('T', later)
    })
    emitter.on('T', later)
    emitter.on('T', (message) => heard.push(`c${message.num}`))
    for (let num = 0; num < 3; num++) emitter.emit('T', { num })
    await settled(emitter)
    assert.deepEqual(heard, ['once0', 'b0', 'c0', 'b1', 'c1', 'b2', 'c2'])
  })

  test('removeListener removes the first registration, ignores an unknown function, and throws a TypeError for an unknown name', async (t) => {
    const emitter = await make(t)
    function f (message) {}
    function g (message) {}
    function h (message, done) {}
    assert.throws(() => emitter.removeListener('nothing', f), TypeError)
    assert.throws(() => emitter.removeListener('T'), TypeError)
    assert.throws(() => emitter.removeListener('T', null), TypeError)
    emitter.on('T', f).on('T', h).on('T', f)
    assert.equal(emitter.removeListener('T', g), emitter)
    assert.deepEqual(emitter.listeners('T'), [f, h, f])
    emitter.removeListener('T', f)
    assert.deepEqual(emitter.listeners('T'), [h, f])
    emitter.removeListener('T', h).removeListener('T', f).removeListener('T', f)
    assert.equal(emitter.listenerCount('T'), 0)
    emitter.on('A', f).on('B', f).on('A', h)
    emitter.removeListener('A', f)
    assert.deepEqual([emitter.listeners('A'), emitter.listeners('B')], [[h], [f]])
  })

  test('listeners are added, removed, counted and listed as by Node\'s EventEmitter', async (t) => {
    const emitter = await make(t)
    const heard = []
    const second = () => heard.push('second')
    emitter.addListener('T', second)
    emitter.prependListener('T', () => heard.push('first'))
    emitter.prependOnceListener('T', () => heard.push('zeroth'))
    const never = () => heard.push('never')
    emitter.once('T', never).off('T', never)
    emitter.emit('T', { num: 1 }).emit('T', { num: 2 })
    await settled(emitter)
    assert.deepEqual(heard, ['zeroth', 'first', 'second', 'first', 'second'])
    assert.deepEqual(emitter.eventNames(), ['T'])
    assert.equal(emitter.listenerCount('T'), 2)
    assert.equal(emitter.listenerCount('T', second), 1)
    assert.deepEqual(emitter.rawListeners('T')[1], second)
    emitter.on('U', never).removeAllListeners('T')
    assert.deepEqual(emitter.eventNames(), ['U'])
    emitter.removeAllListeners()
    assert.deepEqual(emitter.eventNames(), [])
  })

  test('events.once and events.on of Node.js bring events, and are ended by a signal', async (t) => {
    const emitter = await make(t)
    setImmediate(() => emitter.emit('T', { num: 7 }))
    const [message] = await once(emitter, 'T')
    assert.equal(message.num, 7)
    assert.deepEqual(emitter.eventNames(), [])
    const stop = new AbortController()
    const iterator = on(emitter, 'T', { signal: stop.signal, highWaterMark: 4, lowWaterMark: 1 })
    for (let num = 0; num < 50; num++) emitter.emit('T', { num })
    await until(() => emitter.isPaused())
    const heard = []
    for await (const [message] of iterator) {
      heard.push(message.num)
      if (heard.length === 50) break
    }
    assert.deepEqual(heard, Array.from({ length: 50 }, (_, i) => i))
    const waiting = once(emitter, 'T', { signal: stop.signal })
    stop.abort()
    await assert.rejects(waiting, { name: 'AbortError' })
    assert.deepEqual(emitter.eventNames(), [])
  })
}
