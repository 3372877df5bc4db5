'use strict'

/** Appending events: order, callbacks, what throws. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { hear, settled } = require('../helpers')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ make }) {
  test('the callback runs after emit has returned and before the listener, with the whole node', async (t) => {
    const emitter = await make(t)
    const order = []
    const heard = hear(emitter, 'T', 1)
    emitter.on('T', () => order.push('listener'))
    const node = await new Promise((resolve, reject) => {
      const returned = emitter.emit('T', { num: 1 }, (...args) => {
        order.push('callback')
        assert.equal(args.length, 2)
        args[0] ? reject(args[0]) : resolve(args[1])
      })
      assert.equal(returned, emitter)
      order.push('returned')
    })
    await heard
    assert.deepEqual(order, ['returned', 'callback', 'listener'])
    assert.deepEqual(Object.keys(node), ['log', 'key', 'identity', 'signature', 'value', 'links', 'seq', 'change'])
    assert.equal(node.log, emitter._hyperlog.id)
    assert.match(node.key, /^[0-9a-f]{64}$/)
    assert.deepEqual([node.identity, node.signature, node.links, node.seq, node.change], [null, null, [], 1, 1])
    const event = emitter.messages.Event.decode(node.value)
    assert.deepEqual(event, { name: 'T', payload: Buffer.from([0x10, 1]) })
  })

  test('each node links to the previous one, and does not change when later nodes are stored', async (t) => {
    const emitter = await make(t)
    const nodes = []
    for (let num = 0; num < 300; num++) emitter.emit('T', { num, foo: 'é'.repeat(num) }, (error, node) => nodes.push(error ?? node))
    await settled(emitter)
    assert.equal(nodes.length, 300)
    nodes.forEach((node, i) => {
      assert.deepEqual(node.links, i === 0 ? [] : [nodes[i - 1].key])
      assert.deepEqual([node.seq, node.change], [i + 1, i + 1])
      const { payload } = emitter.messages.Event.decode(node.value)
      assert.deepEqual(emitter.messages.T.decode(payload), { num: i, foo: 'é'.repeat(i) })
    })
    assert.deepEqual(await emitter.get(nodes[7].key), nodes[7])
  })

  test('callbacks, log and listeners keep the order of the calls', async (t) => {
    const emitter = await make(t)
    const called = []
    const heard = hear(emitter, 'T', 500)
    for (let num = 0; num < 500; num++) emitter.emit('T', { num }, () => called.push(num))
    const expected = Array.from({ length: 500 }, (_, i) => i)
    assert.deepEqual((await heard).map((message) => message.num), expected)
    assert.deepEqual(called, expected)
  })

  test('emits before ready are delivered, also to listeners added after the call', async (t) => {
    const emitter = await make(t)
    emitter.emit('T', { num: 1 })
    emitter.emit('T', { num: 2 })
    assert.deepEqual((await hear(emitter, 'T', 2)).map((message) => message.num), [1, 2])
  })

  test('a listener added in the callback hears that event, and none before it', async (t) => {
    const emitter = await make(t)
    const heard = []
    for (let num = 0; num < 10; num++) {
      emitter.emit('T', { num }, () => {
        if (num === 6) emitter.on('T', (message) => heard.push(message.num))
      })
    }
    await settled(emitter)
    assert.deepEqual(heard, [6, 7, 8, 9])
  })

  test('a listener that is added after an event was delivered does not hear it', async (t) => {
    const emitter = await make(t)
    await emitter.append('T', { num: 1 })
    await settled(emitter)
    const heard = []
    emitter.on('T', (message) => heard.push(message.num))
    await emitter.append('T', { num: 2 })
    await settled(emitter)
    assert.deepEqual(heard, [2])
  })

  test('events without a codec carry bytes or text, even with an empty name', async (t) => {
    const emitter = await make(t)
    const heard = []
    for (const name of ['buf', 'str', 'empty', '']) emitter.on(name, (payload) => heard.push([name, payload]))
    emitter.emit('buf', Buffer.from([1, 2])).emit('str', 'héllo').emit('empty', '').emit('', 'x')
    await settled(emitter)
    assert.deepEqual(heard, [
      ['buf', Buffer.from([1, 2])], ['str', Buffer.from('héllo')], ['empty', Buffer.alloc(0)], ['', Buffer.from('x')]
    ])
    assert.ok(Buffer.isBuffer(heard[0][1]))
  })

  test('two equal events are stored as two events', async (t) => {
    const emitter = await make(t)
    const heard = hear(emitter, 'T', 2)
    const [first, second] = await Promise.all([emitter.append('T', { num: 1 }), emitter.append('T', { num: 1 })])
    assert.notEqual(first.key, second.key)
    assert.equal((await heard).length, 2)
  })

  test('events of any size arrive whole', async (t) => {
    const emitter = await make(t)
    const sizes = [10, 30000, 65520, 65537, 200000, 262130, 262136, 262137, 262144, 262145, 1000000, 5]
    const heard = hear(emitter, 'big', sizes.length)
    const nodes = await Promise.all(sizes.map((size, i) => emitter.append('big', Buffer.alloc(size, i + 1))))
    for (const [i, payload] of (await heard).entries()) {
      assert.ok(payload.equals(Buffer.alloc(sizes[i], i + 1)), `event ${i}`)
      assert.ok(nodes[i].value.includes(payload))
    }
  })

  test('an event that a getter of the payload emits comes first, and both events are complete', async (t) => {
    const emitter = await make(t)
    const heard = []
    emitter.on('T', (message) => heard.push(message))
    emitter.emit('T', { num: 0, foo: 'before' })
    emitter.emit('T', {
      num: 2,
      get foo () {
        emitter.emit('T', { num: 1, foo: 'inner'.repeat(20) })
        return 'outer'
      }
    })
    await settled(emitter)
    assert.deepEqual(heard.map((message) => message.num), [0, 1, 2])
    assert.equal(heard[1].foo, 'inner'.repeat(20))
    assert.equal(heard[2].foo, 'outer')
  })

  test('an emit that throws leaves nothing behind', async (t) => {
    const emitter = await make(t)
    const heard = []
    emitter.on('T', (message) => heard.push(message.num))
    emitter.emit('T', { num: 1 })
    assert.throws(() => emitter.emit('T', { foo: 'long enough to have been written'.repeat(9) }), { message: 'num is required' })
    assert.throws(() => emitter.emit('T', { get foo () { throw new Error('mine') }, num: 1 }), { message: 'mine' })
    emitter.emit('T', { num: 2 })
    await settled(emitter)
    assert.deepEqual(heard, [1, 2])
    assert.equal((await emitter.stats()).change, 3)
  })

  test('append resolves to the node, and rejects where emit throws', async (t) => {
    const emitter = await make(t)
    const node = await emitter.append('T', { num: 1 })
    assert.equal(node.change, 1)
    await assert.rejects(emitter.append('T', {}), { message: 'num is required' })
    await assert.rejects(emitter.append('constructor', 'x'), { code: 'ERR_HYPER_RESERVED_NAME' })
    emitter.append('T', {}) // Ignored: no unhandled rejection.
  })

  test('a listener and a callback may emit', async (t) => {
    const emitter = await make(t)
    const heard = []
    const done = new Promise((resolve) => emitter.on('T', ({ num }, answer) => {
      heard.push(num)
      if (num === 10) return resolve(answer())
      emitter.emit('T', { num: num + 1 }, answer)
    }))
    emitter.emit('T', { num: 0 })
    await done
    assert.deepEqual(heard, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  test('bursts of any size are acknowledged and heard in the order of the calls', async (t) => {
    const emitter = await make(t)
    // Small and large batches may be written by different threads.
    const sizes = [1, 300, 1, 127, 128, 1, 1, 700, 2, 1024, 1]
    const total = sizes.reduce((sum, size) => sum + size)
    const heard = hear(emitter, 'T', total)
    const answered = []
    let num = 0
    for (const size of sizes) {
      for (let left = size; left > 0; left--) {
        const own = ++num
        emitter.emit('T', { num: own }, (err, { change }) => answered.push(err ?? [own, change]))
      }
      await Promise.resolve()
    }
    assert.deepEqual((await heard).map((message) => message.num), Array.from({ length: total }, (_, i) => i + 1))
    const first = answered[0][1]
    assert.deepEqual(answered, Array.from({ length: total }, (_, i) => [i + 1, first + i]))
  })
}
