'use strict'

/** Closing: what it finishes, ends and refuses. */

const assert = require('node:assert/strict')
const { once, on } = require('node:events')
const { test } = require('node:test')

const { until, turns } = require('../helpers')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ make }) {
  test('close finishes pending emits, and later calls are refused', async (t) => {
    const emitter = await make(t)
    await emitter.ready()
    const answers = []
    for (let num = 0; num < 20; num++) emitter.emit('T', { num }, (error, node) => answers.push(error ?? node.change))
    const calls = []
    assert.equal(emitter.close(function (...args) { calls.push([args.length, this === emitter]) }), undefined)
    emitter.emit('T', { num: 99 }, (error) => answers.push(error.code))
    assert.throws(() => emitter.emit('T', {}, () => {}), { message: 'num is required' })
    await emitter.close()
    await turns(1)
    assert.deepEqual(calls, [[0, true]])
    assert.deepEqual(answers.filter((answer) => typeof answer === 'number'), Array.from({ length: 20 }, (_, i) => i + 1))
    assert.deepEqual(answers.filter((answer) => typeof answer === 'string'), ['ERR_HYPER_CLOSED'])
    await assert.rejects(emitter.append('T', { num: 1 }), { code: 'ERR_HYPER_CLOSED' })
    for (const late of [emitter.heads(), emitter.stats(), emitter.digest(), emitter.position('x'), emitter.verify(), emitter.listen(0), emitter.connect(1), emitter.getId()]) {
      await assert.rejects(late, { code: 'ERR_HYPER_CLOSED' })
    }
    await assert.rejects(emitter.read().next(), { code: 'ERR_HYPER_CLOSED' })
  })

  test('close before ready answers pending emits, and ready is not emitted', async (t) => {
    const emitter = await make(t)
    emitter.status.on('ready', () => assert.fail('ready after close'))
    const ready = emitter.ready()
    const answers = []
    for (let num = 0; num < 3; num++) emitter.emit('T', { num }, (error, node) => answers.push(Boolean(error || node)))
    await emitter.close()
    assert.deepEqual(answers, [true, true, true])
    await assert.rejects(ready, { code: 'ERR_HYPER_CLOSED' })
  })

  test('nothing is delivered after close, not even from inside a listener', async (t) => {
    const emitter = await make(t)
    const heard = []
    let closed
    emitter.on('T', (message) => {
      heard.push(message.num)
      closed = emitter.close()
    })
    for (let num = 0; num < 30; num++) emitter.emit('T', { num })
    await until(() => closed !== undefined)
    await closed
    await turns(5)
    assert.deepEqual(heard, [0])
  })

  test('await using closes the emitter', async (t) => {
    const emitter = await make(t)
    await emitter[Symbol.asyncDispose]()
    await assert.rejects(emitter.append('T', { num: 1 }), { code: 'ERR_HYPER_CLOSED' })
  })

  test('close ends streams, both sides', async (t) => {
    const emitter = await make(t)
    await emitter.ready()
    const streams = {
      waiting: emitter.stream(),
      beginning: emitter.stream({ from: 'beginning' }),
      hyperlog: emitter._hyperlog.createReadStream({ live: true })
    }
    let count = 0
    const heard = Object.entries(streams).map(async ([name, stream]) => {
      const events = []
      for (const event of ['finish', 'end', 'error']) stream.on(event, () => events.push(event))
      const over = once(stream, 'close')
      for await (const item of stream.iterator({ destroyOnReturn: false })) count += item ? 1 : 0
      await over
      return [name, events]
    })
    for (let num = 0; num < 100; num++) streams.waiting.write({ name: 'T', payload: { num } })
    await until(() => count === 300)
    await emitter.close()
    assert.deepEqual(await Promise.all(heard), [['waiting', ['end', 'finish']], ['beginning', ['end', 'finish']], ['hyperlog', ['end']]])
  })

  test('close ends streams of an emitter that was not open yet', async (t) => {
    const emitter = await make(t)
    const over = [emitter.stream(), emitter._hyperlog.createReadStream({ live: true })].map((stream) => once(stream.resume(), 'close'))
    await emitter.close()
    await Promise.all(over)
  })

  test('every read and stream that begins after close fails, live ones too', async (t) => {
    const emitter = await make(t)
    await emitter.append('T', { num: 1 })
    await emitter.close()
    const log = emitter._hyperlog
    for (const begin of [() => emitter.stream(), () => log.createReadStream({ live: true }), () => log.createReadStream()]) {
      await assert.rejects(once(begin(), 'end'), { code: 'ERR_HYPER_CLOSED' })
    }
    for (const live of [false, true]) await assert.rejects(emitter.read({ live }).next(), { code: 'ERR_HYPER_CLOSED' })
  })

  test('status emits closed, so that loops over its events can end', async (t) => {
    const emitter = await make(t)
    const links = on(emitter.status, 'connected', { close: ['closed'] })
    const end = links.next()
    await emitter.close()
    assert.equal((await end).done, true)
  })
}
