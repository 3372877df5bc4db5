'use strict'

/** Large numbers of things at once. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { HyperEmitter, hear, turns } = require('./helpers')

test('an event after thousands without listeners is delivered, even if nothing else happens', async (t) => {
  const emitter = new HyperEmitter(undefined, {})
  t.after(() => emitter.close())
  const heard = []
  emitter.on('rare', (message) => heard.push(message.toString()))
  // The native half examines some thousands of events per call. The rare events are just before, at and after these limits.
  for (const others of [3839, 3840, 4000, 4095, 4096, 5000]) {
    emitter.pause()
    for (let i = 0; i < others; i++) emitter.emit('common', 'x')
    await emitter.append('rare', String(others))
    emitter.resume()
    await turns(50)
    assert.equal(heard.pop(), String(others))
  }
})

test('hundreds of thousands of concurrent requests are all answered', async (t) => {
  const emitter = new HyperEmitter(undefined, {})
  t.after(() => emitter.close())
  const answers = await Promise.all(Array.from({ length: 150_000 }, () => emitter.digest()))
  assert.equal(new Set(answers).size, 1)
  const heard = hear(emitter, 'after', 1)
  emitter.emit('after', 'y')
  assert.equal((await heard)[0].toString(), 'y')
})

test('an event larger than the rest of a pack, and many small events after it, are all delivered', async (t) => {
  const emitter = new HyperEmitter(':memory:', 'message T { required bytes data = 1; }')
  t.after(() => emitter.close())
  let heard = 0
  let sent = 0
  let arrived = () => {}
  emitter.on('T', () => { if (++heard === sent) arrived() })
  const emit = (...sizes) => {
    const all = new Promise((resolve) => { arrived = resolve })
    sent += sizes.length
    for (const size of sizes) emitter.emit('T', { data: Buffer.alloc(size) })
    return all
  }
  // For every position at which the previous pack may have ended.
  for (let size = 0; size < 60; size++) {
    await emit(200 + size * 97 % 3000)
    await emit(9500, ...Array(255).fill(1))
  }
  assert.equal(heard, sent)
})
