'use strict'

/**
 * What every emitter does, whatever its store: `suite(name, open)`. Follows SPEC sections of 1.x's behaviour; a test that
 * says "1.x" in its name holds something that 1.x did otherwise.
 *
 * @callback Open makes a store that is empty, and gone after the test
 * @param {import('node:test').TestContext} t
 * @returns {Promise<{ db: *, again?: () => *, keep?: () => void }>} `db` for the constructor; `again` what to pass to open
 *   the same store anew; `keep` is called before the first emitter closes, if there will be a second
 */

const assert = require('node:assert/strict')
const { once, on } = require('node:events')
const { describe, test } = require('node:test')

const { HyperEmitter, SCHEMA, hear, settled, stored, until, turns } = require('./helpers')

function suite (name, open) {
  /** An emitter on a fresh store, closed after the test. */
  async function make (t, schema = SCHEMA, opts = undefined) {
    const store = await open(t)
    const emitter = new HyperEmitter(store.db, schema, opts)
    t.after(() => emitter.close())
    return emitter
  }

  describe(`emitter on ${name}`, () => {
    // ---- construction

    test('is a class and a factory', async (t) => {
      const emitter = HyperEmitter((await open(t)).db, SCHEMA)
      t.after(() => emitter.close())
      assert.ok(emitter instanceof HyperEmitter)
      assert.ok(emitter instanceof require('node:events'))
      assert.equal(HyperEmitter.length, 3)
      assert.equal(emitter.messages, emitter.codecs)
      assert.deepEqual(Object.keys(emitter.messages), ['T', 'U', 'Event', 'EventPeer'])
      assert.deepEqual(emitter._opts, { reconnectTimeout: 1000 })
      assert.equal(emitter.id, undefined)
    })

    test('ready comes later, without arguments, once', async (t) => {
      const emitter = await make(t)
      const heard = []
      emitter.status.on('ready', (...args) => heard.push(args))
      assert.equal(emitter.changes, undefined)
      assert.equal(emitter._hyperlog.id, null)
      await emitter.ready()
      await turns(2)
      assert.deepEqual(heard, [[]])
      assert.equal(emitter._hyperlog.changes, 0)
      assert.match(emitter._hyperlog.id, /^c[a-z0-9]{24}$/)
      assert.ok(emitter.changes !== undefined && emitter.changes === emitter.changeStream)
    })

    // ---- emit

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

    test('nodes link to the one before, and stay as they are when later ones come', async (t) => {
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

    test('a listener added once the event has passed does not hear it', async (t) => {
      const emitter = await make(t)
      await emitter.append('T', { num: 1 })
      await settled(emitter)
      const heard = []
      emitter.on('T', (message) => heard.push(message.num))
      await emitter.append('T', { num: 2 })
      await settled(emitter)
      assert.deepEqual(heard, [2])
    })

    test('names without a codec carry bytes and text, the empty name too', async (t) => {
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

    test('equal events are two events', async (t) => {
      const emitter = await make(t)
      const heard = hear(emitter, 'T', 2)
      const [first, second] = await Promise.all([emitter.append('T', { num: 1 }), emitter.append('T', { num: 1 })])
      assert.notEqual(first.key, second.key)
      assert.equal((await heard).length, 2)
    })

    test('large events go past the ring', async (t) => {
      const emitter = await make(t)
      const sizes = [10, 30000, 65520, 65537, 200000, 262130, 262136, 262137, 262144, 262145, 1000000, 5]
      const heard = hear(emitter, 'big', sizes.length)
      const nodes = await Promise.all(sizes.map((size, i) => emitter.append('big', Buffer.alloc(size, i + 1))))
      for (const [i, payload] of (await heard).entries()) {
        assert.ok(payload.equals(Buffer.alloc(sizes[i], i + 1)), `event ${i}`)
        assert.ok(nodes[i].value.includes(payload))
      }
    })

    test('an event emitted by a getter of the payload goes first, and both are whole', async (t) => {
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

    test('a throwing encoder leaves nothing behind', async (t) => {
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

    test('append is emit with a promise; every fault rejects', async (t) => {
      const emitter = await make(t)
      const node = await emitter.append('T', { num: 1 })
      assert.equal(node.change, 1)
      await assert.rejects(emitter.append('T', {}), { message: 'num is required' })
      await assert.rejects(emitter.append('constructor', 'x'), { code: 'ERR_HYPER_RESERVED_NAME' })
      emitter.append('T', {}) // Ignored: no unhandled rejection.
    })

    test('an emit inside a listener and inside a callback works', async (t) => {
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

    // ---- listeners

    test('arity decides: up to one parameter is answered at once, two get done and the emitter as this', async (t) => {
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

    test('a listener for another event added during delivery hears what follows', async (t) => {
      const emitter = await make(t)
      const heard = []
      emitter.once('T', () => emitter.on('U', (message) => heard.push(message.id)))
      emitter.emit('U', { id: 0 }).emit('T', { num: 1 })
      for (let id = 1; id < 50; id++) emitter.emit('U', { id })
      await settled(emitter)
      assert.deepEqual(heard, Array.from({ length: 49 }, (_, i) => i + 1))
    })

    test('removing during delivery skips nobody and stops nothing (1.x halted)', async (t) => {
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

    test('removeListener: first registration, unknown function nothing, unknown name TypeError', async (t) => {
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

    test('the rest of EventEmitter', async (t) => {
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

    test('events.once and events.on work', async (t) => {
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

    test('pause holds events back, resume brings them', async (t) => {
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

    // ---- back-pressure

    test('an unanswered first event stops everything, other names too', async (t) => {
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

    test('a stalled event in the middle lets nothing pass it', async (t) => {
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

    test('answers at once go one by one: exactly one more is started', async (t) => {
      const emitter = await make(t)
      let heard = 0
      emitter.on('T', (message, done) => { if (++heard <= 33) done() })
      for (let num = 0; num < 200; num++) emitter.emit('T', { num })
      await stored(emitter)
      assert.equal(heard, 34)
    })

    test('groups of a slow listener are 1, 15, 1, 15', async (t) => {
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

    // ---- codecs

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

    test('the codec of the moment of delivery decodes', async (t) => {
      const emitter = await make(t)
      const heard = hear(emitter, 'T', 1)
      emitter.emit('T', { num: 1 }, () => emitter.registerCodec('T', { encode: String, decode: String }))
      assert.deepEqual(await heard, ['\u0010\u0001'])
    })

    test('what does not decode is a warning and is passed over (1.x died)', async (t) => {
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

    // ---- identity

    test('getId gives 25 characters, the same ever after, at once when known', async (t) => {
      const emitter = await make(t)
      const id = await emitter.getId()
      assert.match(id, /^c[a-z0-9]{24}$/)
      assert.equal(emitter.id, id)
      assert.notEqual(id, emitter._hyperlog.id)
      let again
      assert.equal(emitter.getId((error, found) => { again = error ?? found }), undefined)
      assert.equal(again, id)
    })

    test('bursts of any size are answered and heard in the order of the calls', async (t) => {
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

    // ---- reading

    test('what is acknowledged can be read at once', async (t) => {
      const emitter = await make(t)
      for (let num = 1; num <= 200; num++) {
        const { change } = await emitter.append('T', { num })
        const { value } = await emitter.read({ since: change - 1 }).next()
        assert.equal(value?.payload.num, num)
        assert.ok((await emitter.stats()).change >= change)
      }
    })

    test('read goes through what is stored, in both directions and within bounds', async (t) => {
      const emitter = await make(t)
      const before = Date.now()
      const nodes = []
      for (let i = 1; i <= 20; i++) nodes.push(await emitter.append(i % 2 ? 'T' : 'U', i % 2 ? { num: i } : { id: i }))
      const changes = async (opts) => {
        const found = []
        for await (const entry of emitter.read(opts)) found.push(entry.change)
        return found
      }
      const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
      assert.deepEqual(await changes(), range(1, 20))
      assert.deepEqual(await changes({ since: 5, until: 8 }), [6, 7, 8])
      assert.deepEqual(await changes({ reverse: true }), range(1, 20).reverse())
      assert.deepEqual(await changes({ reverse: true, since: 5, until: 8 }), [8, 7, 6])
      assert.deepEqual(await changes({ names: ['U'], limit: 3 }), [2, 4, 6])
      assert.deepEqual(await changes({ names: 'T', reverse: true, limit: 2 }), [19, 17])
      assert.deepEqual(await changes({ since: 20 }), [])
      assert.deepEqual(await changes({ since: 99, until: 3 }), [])
      assert.deepEqual(await changes({ limit: 0 }), [])
      await assert.rejects(changes({ since: 21 }), { code: 'ERR_HYPER_INVALID_ARG', name: 'RangeError' })
      for await (const entry of emitter.read({ since: 6, limit: 1 })) {
        const { time, ...rest } = entry
        assert.ok(time >= before - 1 && time <= Date.now() + 1)
        assert.deepEqual(rest, {
          change: 7, key: nodes[6].key, log: nodes[6].log, seq: 7, links: nodes[6].links, name: 'T', payload: { foo: '', num: 7 }
        })
      }
      assert.throws(() => emitter.read({ since: -1 }), { code: 'ERR_HYPER_INVALID_ARG' })
      assert.throws(() => emitter.read({ live: true, reverse: true }), { code: 'ERR_HYPER_INVALID_ARG' })
      assert.throws(() => emitter.read('x'), { code: 'ERR_HYPER_INVALID_ARG' })
    })

    test('read is raw without a codec, and live until the emitter closes', async (t) => {
      const emitter = await make(t, null)
      emitter.emit('a', 'one')
      const found = []
      const reading = (async () => {
        for await (const entry of emitter.read({ live: true })) found.push(String(entry.raw))
      })()
      while (found.length < 1) await turns(1)
      emitter.emit('a', 'two')
      while (found.length < 2) await turns(1)
      await emitter.close()
      await reading
      assert.deepEqual(found, ['one', 'two'])
    })

    test('a live read can be aborted', async (t) => {
      const emitter = await make(t)
      const stop = new AbortController()
      const next = emitter.read({ live: true, signal: stop.signal }).next()
      setImmediate(() => stop.abort())
      await assert.rejects(next, { name: 'AbortError' })
    })

    test('heads, get, digest, stats and verify', async (t) => {
      const emitter = await make(t)
      assert.deepEqual(await emitter.heads(), [])
      const empty = await emitter.digest()
      const node = await emitter.append('T', { num: 1 })
      assert.deepEqual(await emitter.heads(), [{ change: 1, key: node.key, log: node.log, seq: 1 }])
      assert.deepEqual(await emitter.get(node.key), node)
      assert.equal(await emitter.get('0'.repeat(64)), undefined)
      await assert.rejects(emitter.get('short'), { code: 'ERR_HYPER_INVALID_ARG' })
      assert.match(await emitter.digest(), /^[0-9a-f]{64}$/)
      assert.notEqual(await emitter.digest(), empty)
      const stats = await emitter.stats()
      assert.deepEqual([stats.change, stats.log, stats.heads, stats.pending, stats.peers], [1, node.log, 1, 0, []])
      assert.deepEqual(stats.logs.map(({ log, seq }) => ({ log, seq })), [{ log: node.log, seq: 1 }])
      const steps = []
      assert.deepEqual(await emitter.verify({ onProgress: (step) => steps.push(step) }), { nodes: 1, duplicates: 0, logs: 1 })
      assert.ok(steps.every(({ done, total }) => done <= total))
      await Promise.all(Array.from({ length: 50 }, (_, num) => emitter.append('T', { num })))
      const { commits } = await emitter.stats()
      // What is emitted together is committed together.
      assert.ok(commits > stats.commits && commits < stats.commits + 10, `${stats.commits} commits, then ${commits}`)
    })

    test('_hyperlog reads as 1.x did', async (t) => {
      const emitter = await make(t)
      const first = await emitter.append('T', { num: 1 })
      const second = await emitter.append('T', { num: 2 })
      const log = emitter._hyperlog
      assert.equal(log.changes, 2)
      assert.deepEqual(await new Promise((resolve) => log.get(first.key, (error, node) => resolve(error ?? node))), first)
      assert.deepEqual(await new Promise((resolve) => log.heads((error, heads) => resolve(error ?? heads))), [second])
      const missing = await new Promise((resolve) => log.get('f'.repeat(64), resolve))
      assert.equal(missing.notFound, true)
      const nodes = []
      for await (const node of log.createReadStream()) nodes.push(node)
      assert.deepEqual(nodes, [first, second])
      nodes.length = 0
      for await (const node of log.createReadStream({ since: 1, limit: 5 })) nodes.push(node)
      assert.deepEqual(nodes, [second])
      const live = log.createReadStream({ since: 1, live: true })
      const heard = on(live, 'data')
      assert.deepEqual((await heard.next()).value, [second])
      const third = await emitter.append('T', { num: 3 })
      assert.deepEqual((await heard.next()).value, [third])
      live.destroy()
    })

    test('position is kept, and undefined at first', async (t) => {
      const emitter = await make(t)
      assert.equal(await emitter.position('mine'), undefined)
      for (let num = 1; num <= 12; num++) emitter.emit('T', { num })
      await settled(emitter)
      await emitter.position('mine', 12)
      await emitter.position('other', 3)
      assert.equal(await emitter.position('mine'), 12)
      await assert.rejects(emitter.position(''), { code: 'ERR_HYPER_INVALID_ARG' })
      await assert.rejects(emitter.position('mine', -1), { code: 'ERR_HYPER_INVALID_ARG' })
      await assert.rejects(emitter.position('mine', 1.5), { code: 'ERR_HYPER_INVALID_ARG' })
      await assert.rejects(emitter.position('mine', undefined), { code: 'ERR_HYPER_INVALID_ARG' })
      await assert.rejects(emitter.position('mine', 14), { code: 'ERR_HYPER_INVALID_ARG', name: 'RangeError' })
      assert.equal(await emitter.position('mine'), 12)
    })

    // ---- stream

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

    test('a stream made before ready brings what is emitted after it, not what was before', async (t) => {
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

    test('a fault in a write is thrown by it and leaves the stream usable', async (t) => {
      const emitter = await make(t)
      const stream = emitter.stream()
      assert.throws(() => stream.write({ name: 'T', payload: {} }), { message: 'num is required' })
      assert.throws(() => stream.write({}), { message: 'name is required' })
      const heard = hear(emitter, 'T', 1)
      stream.write({ name: 'T', payload: { num: 1 } })
      assert.equal((await heard)[0].num, 1)
      stream.destroy()
    })

    test('end finishes only the writable side; destroy frees the stream', async (t) => {
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

    test('what is begun after close fails, also what would be live', async (t) => {
      const emitter = await make(t)
      await emitter.append('T', { num: 1 })
      await emitter.close()
      const log = emitter._hyperlog
      for (const begin of [() => emitter.stream(), () => log.createReadStream({ live: true }), () => log.createReadStream()]) {
        await assert.rejects(once(begin(), 'end'), { code: 'ERR_HYPER_CLOSED' })
      }
      for (const live of [false, true]) await assert.rejects(emitter.read({ live }).next(), { code: 'ERR_HYPER_CLOSED' })
    })

    test('status tells that the emitter is closed, so that who listens to it can end', async (t) => {
      const emitter = await make(t)
      const links = on(emitter.status, 'connected', { close: ['closed'] })
      const end = links.next()
      await emitter.close()
      assert.equal((await end).done, true)
    })

    test('a stream that is not read blocks nothing and loses nothing', async (t) => {
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

    // ---- close

    test('close finishes what is under way, then refuses', async (t) => {
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

    test('close before ready: emits are answered, ready is not heard', async (t) => {
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

    test('asyncDispose closes', async (t) => {
      const emitter = await make(t)
      await emitter[Symbol.asyncDispose]()
      await assert.rejects(emitter.append('T', { num: 1 }), { code: 'ERR_HYPER_CLOSED' })
    })

    test('a store opened again goes on, without delivering what was', async (t) => {
      const store = await open(t)
      if (store.again === undefined) return t.skip('this store ends with its emitter')
      const first = new HyperEmitter(store.db, SCHEMA)
      first.on('T', (message, done) => {})
      for (let num = 0; num < 5; num++) await first.append('T', { num })
      const id = await first.getId()
      await first.position('mine', 4)
      const digest = await first.digest()
      store.keep?.()
      await first.close()
      const second = new HyperEmitter(store.again(), SCHEMA)
      t.after(() => second.close())
      const heard = []
      second.on('T', (message) => heard.push(message.num))
      await second.ready()
      assert.equal(await second.digest(), digest)
      const node = await second.append('T', { num: 9 })
      await settled(second)
      assert.deepEqual(heard, [9])
      assert.deepEqual([node.change, node.seq, node.log], [6, 6, first._hyperlog.id])
      assert.equal(await second.getId(), id)
      assert.equal(await second.position('mine'), 4)
    })

    test('a store is copied into another', async (t) => {
      const store = await open(t)
      if (store.again === undefined) return t.skip('this store ends with its emitter')
      const source = new HyperEmitter(store.db, SCHEMA)
      for (let num = 0; num < 2000; num++) source.emit('T', { num })
      await settled(source)
      const digest = await source.digest()
      store.keep?.()
      await source.close()
      const copy = new HyperEmitter(null, SCHEMA)
      t.after(() => copy.close())
      assert.equal(await copy.importFrom(store.again()), 2001)
      assert.equal(await copy.digest(), digest)
      assert.equal((await copy.stats()).change, 2001)
    })
  })
}

module.exports = suite
