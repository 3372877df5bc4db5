'use strict'

/** Every wrong argument gets a clear error with a stable code, and has no other effect. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { Readable } = require('node:stream')
const { finished } = require('node:stream/promises')
const { describe, test } = require('node:test')

const { HyperEmitter, SCHEMA, child, folder, hear, settled, turns } = require('./helpers')

function make (t, schema = SCHEMA, opts) {
  const emitter = new HyperEmitter(undefined, schema, opts)
  t.after(() => emitter.close())
  return emitter
}

/** Calls with a callback and gives its arguments. */
function called (call) {
  return new Promise((resolve) => call((...args) => resolve(args)))
}

describe('the constructor', () => {
  const CASES = [
    ['a number for a store', () => new HyperEmitter(5, SCHEMA), TypeError],
    ['an object that is no store', () => new HyperEmitter({}, SCHEMA), TypeError],
    ['a store without batch', () => new HyperEmitter({ get () {}, put () {} }, SCHEMA), TypeError],
    ['an empty path', () => new HyperEmitter('', SCHEMA), TypeError],
    ['a path with a zero', () => new HyperEmitter('a\0b', SCHEMA), TypeError],
    ['a number for a schema', () => new HyperEmitter(undefined, 5), TypeError],
    ['true for a schema', () => new HyperEmitter(undefined, true), TypeError],
    ['codecs that cannot be completed', () => new HyperEmitter(undefined, Object.freeze({})), TypeError],
    ['text for options', () => new HyperEmitter(undefined, SCHEMA, 'x'), TypeError],
    ['a negative pause', () => new HyperEmitter(undefined, SCHEMA, { reconnectTimeout: -1 }), RangeError],
    ['a limit that is no number', () => new HyperEmitter(undefined, SCHEMA, { maxEventSize: '8' }), RangeError]
  ]
  for (const [name, call, Class] of CASES) {
    test(`refuses ${name}`, () => {
      assert.throws(call, (error) => error instanceof Class && error.code === 'ERR_HYPER_INVALID_ARG' && error.message.length > 10)
    })
  }

  test('refuses bad schema text at once', () => {
    assert.throws(() => new HyperEmitter(undefined, ' '), { message: 'Unexpected token: ' })
    assert.throws(() => new HyperEmitter(undefined, Buffer.alloc(0)), { message: 'Unexpected token: ' })
    assert.throws(() => new HyperEmitter(undefined, 'message A { nonsense'), { code: 'ERR_HYPER_SCHEMA' })
  })

  test('accepts every schema that 1.x accepted', (t) => {
    for (const nothing of [undefined, null, '', 0, false]) {
      const emitter = make(t, nothing === undefined ? null : nothing)
      assert.ok(Array.isArray(emitter.messages))
      assert.deepEqual(Object.keys(emitter.messages), ['Event', 'EventPeer'])
    }
    assert.deepEqual(Object.keys(make(t, Buffer.from(SCHEMA)).messages), ['T', 'U', 'Event', 'EventPeer'])
    const codecs = { Mine: { encode: String, decode: String }, Event: 'user' }
    assert.equal(make(t, codecs).messages, codecs)
    assert.deepEqual(Object.keys(codecs), ['Mine', 'Event', 'EventPeer'])
    assert.notEqual(codecs.Event, 'user')
    assert.equal(make(t, {}).messages.Event, codecs.Event)
  })
})

describe('a schema stream', () => {
  test('is read, and events that were emitted meanwhile are then stored', async (t) => {
    const emitter = make(t, Readable.from([SCHEMA.slice(0, 20), Buffer.from(SCHEMA.slice(20))]))
    const heard = hear(emitter, 'T', 1)
    const bad = called((callback) => emitter.emit('T', {}, callback))
    emitter.emit('T', { num: 5 })
    assert.deepEqual(await heard, [{ foo: '', num: 5 }])
    assert.equal((await bad)[0].message, 'num is required')
    assert.ok(emitter.messages.T)
  })

  test('with a wrong schema, or that fails, causes an error on status', async (t) => {
    for (const [stream, expected] of [
      [Readable.from(['message A {']), { code: 'ERR_HYPER_SCHEMA' }],
      [new Readable({ read () { this.destroy(new Error('torn')) } }), { message: 'torn' }]
    ]) {
      const emitter = make(t, stream)
      const answer = called((callback) => emitter.emit('T', { num: 5 }, callback))
      const [error] = await called((callback) => emitter.status.on('error', callback))
      for (const each of [error, (await answer)[0]]) assert.throws(() => { throw each }, expected)
    }
  })
})

describe('a schema stream that outlives its emitter', () => {
  for (const [how, finish] of [
    ['ends', (stream) => { stream.push(SCHEMA); stream.push(null) }],
    ['breaks', (stream) => stream.destroy(new Error('torn'))]
  ]) {
    test(`refuses what waited for it, and is no error when it ${how} later`, async (t) => {
      const stream = new Readable({ read () {} })
      const emitter = make(t, stream)
      emitter.status.on('error', (error) => assert.fail(error))
      const answer = assert.rejects(emitter.append('T', { num: 1 }), { code: 'ERR_HYPER_CLOSED' })
      await emitter.close()
      await answer
      finish(stream)
      // An unhandled rejection would end this process.
      await finished(stream).catch(() => {})
      await turns(5)
    })
  }
})

describe('a schema from a stream, bounded', () => {
  test('at most MAX_DEFERRED emits wait for the schema, and the next one is refused', async (t) => {
    const stream = new Readable({ read () {} })
    const emitter = make(t, stream)
    for (let num = 0; num < 65536; num++) emitter.emit('T', { num })
    assert.throws(() => emitter.emit('T', { num: -1 }), { code: 'ERR_HYPER_BACKLOG' })
    stream.push(SCHEMA)
    stream.push(null)
    await emitter.ready()
    assert.equal((await emitter.append('T', { num: 1 })).change, 65537)
  })

  test('a stream with more text than a schema may have is given up', async (t) => {
    let chunks = 0
    const stream = new Readable({ read () { this.push(Buffer.alloc(1024 * 1024, ' ')); chunks++ } })
    const emitter = make(t, stream)
    const [error] = await called((callback) => emitter.status.on('error', callback))
    assert.match(error.message, /more than 16777216 bytes/)
    assert.ok(stream.destroyed && chunks < 32)
  })
})

describe('emit', () => {
  const invalid = (received) => ({
    name: 'TypeError',
    code: 'ERR_INVALID_ARG_TYPE',
    message: `The "string" argument must be of type string or an instance of Buffer or ArrayBuffer. Received ${received}`
  })
  const PAYLOADS = [
    [undefined, { message: 'payload is required' }], [null, { message: 'payload is required' }], [NaN, { message: 'payload is required' }],
    [5, invalid('type number (5)')], [0, invalid('type number (0)')], [true, invalid('type boolean (true)')],
    [{ a: 1 }, invalid('an instance of Object')], [[1], invalid('an instance of Array')], [new Date(0), invalid('an instance of Date')],
    [new Uint16Array([1]), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: 'argument must be a string' }],
    [new ArrayBuffer(2), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: 'argument must be a string' }]
  ]
  const NAMES = [
    [undefined, { message: 'name is required' }], [null, { message: 'name is required' }], [NaN, { message: 'name is required' }],
    [5, invalid('type number (5)')], [Symbol('s'), invalid('type symbol (Symbol(s))')], [{}, invalid('an instance of Object')]
  ]

  test('throws 1.x\'s errors, with or without a callback', (t) => {
    const emitter = make(t)
    const bare = make(t, null)
    const never = () => assert.fail('called back')
    for (const [payload, expected] of PAYLOADS) {
      const named = { ...expected, event: 'nocodec' }
      assert.throws(() => bare.emit('nocodec', payload, never), named)
      assert.throws(() => bare.emit('nocodec', payload), named)
    }
    for (const [name, expected] of NAMES) assert.throws(() => emitter.emit(name, 'x', never), expected)
    assert.throws(() => emitter.emit('T', undefined, never), { name: 'TypeError', message: "Cannot read properties of undefined (reading 'foo')" })
    assert.throws(() => emitter.emit('T', null, never), { name: 'TypeError', message: "Cannot read properties of null (reading 'foo')" })
    assert.throws(() => emitter.emit('T', 5, never), { message: 'num is required' })
    assert.throws(() => emitter.emit('T', { foo: 5, num: 1 }, never), invalid('type number (5)'))
    const returns = make(t, null).registerCodec('A', { encode () {}, decode () {} })
    assert.throws(() => returns.emit('A', 1, never), { message: 'payload is required', event: 'A' })
  })

  test('refuses a name that is not in the schema, unless the payload is bytes or text, and lists the known names', async (t) => {
    const emitter = make(t, 'message userAdded { required int32 id = 1; } message userGone { required int32 id = 1; } enum usrAdded { A = 0; }')
    assert.throws(() => make(t, 'message visit { map<string, int32> pages = 1; }').emit('quite', {}), /it has 'visit'$/, 'entries of maps are not listed')
    const stream = emitter.stream()
    t.after(() => stream.destroy())
    for (const [payload, { name = 'Error', message }] of PAYLOADS) {
      for (const [event, hint] of [['userAddd', "did you mean 'userAdded'?"], ['Evnt', "did you mean 'Event'?"], ['quite-another', "it has 'userAdded', 'userGone'"]]) {
        const expected = { name, code: 'ERR_HYPER_VALUE', event, message: `${message}. There is no message '${event}' in the schema: ${hint}` }
        assert.throws(() => emitter.emit(event, payload, () => assert.fail('called back')), expected)
        assert.throws(() => stream.write({ name: event, payload }), expected)
        await assert.rejects(emitter.append(event, payload), expected)
      }
    }
    // As in 1.x.
    for (const payload of [Buffer.from('a'), new Uint8Array([1]), 'text', '']) await emitter.append('userAddd', payload)
    // Faults of the name and the size come first.
    assert.throws(() => emitter.emit('toString', {}), { code: 'ERR_HYPER_RESERVED_NAME' })
    assert.throws(() => emitter.emit(5, {}), invalid('type number (5)'))
    for (const payload of [{}, 'text', Buffer.from('a')]) {
      const expected = { name: 'TypeError', code: 'ERR_HYPER_VALUE', event: 'usrAdded', message: "encoder.encode is not a function. There is no message 'usrAdded' in the schema: that is an enum" }
      assert.throws(() => emitter.emit('usrAdded', payload), expected)
      await assert.rejects(emitter.append([{ name: 'userAdded', payload: { id: 1 } }, { name: 'usrAdded', payload }]), expected)
    }
    assert.throws(() => emitter.emit('userAddd', Buffer.alloc(9e6)), { code: 'ERR_HYPER_TOO_LARGE' })
    assert.equal((await emitter.stats()).change, 4)
    await emitter.close()
    assert.throws(() => emitter.emit('userAddd', {}), { code: 'ERR_HYPER_VALUE', event: 'userAddd' })
  })

  test('lists five names of a large schema if no name is similar, and knows the names of registered codecs', (t) => {
    const many = Array.from({ length: 9 }, (_, i) => `message event${i} { optional int32 id = 1; }`).join('')
    assert.throws(() => make(t, many).emit('other', {}), /it has 'event0', 'event1', 'event2', 'event3', 'event4' and 4 more$/)
    const emitter = make(t, null).registerCodec({ order: { get encode () { throw new Error('asked') }, decode: String }, no: null, five: 5 })
    assert.throws(() => emitter.emit('ordr', {}), /did you mean 'order'\?$/)
    assert.throws(() => emitter.emit('quite', {}), /it has 'order'$/)
  })

  test('refuses text for an unknown name in standard encoding with a schema', async (t) => {
    const emitter = make(t, SCHEMA, { protobuf: 'standard' })
    const expected = { name: 'TypeError', code: 'ERR_HYPER_VALUE', event: 'other', message: "payload is text. There is no message 'other' in the schema: it has 'T', 'U'" }
    assert.throws(() => emitter.emit('other', 'text'), expected)
    await emitter.append('other', Buffer.from('text'))
    await make(t, null, { protobuf: 'standard' }).append('other', 'text')
    await emitter.close()
    assert.throws(() => emitter.emit('other', 'text'), expected)
  })

  test('refuses names that would crash 1.x peers', (t) => {
    const emitter = make(t)
    for (const name of ['toString', 'constructor', 'hasOwnProperty', '__proto__', 'valueOf']) {
      assert.throws(() => emitter.emit(name, 'x'), { code: 'ERR_HYPER_RESERVED_NAME' })
    }
    make(t, null).emit('push', 'x').emit('toJSON', 'x').emit('length', 'x')
  })

  test('refuses the name of an enum, and an EventPeer without addresses', async (t) => {
    const emitter = make(t, 'enum Top { ONE = 1; }')
    assert.throws(() => emitter.emit('Top', 1), { name: 'TypeError', code: 'ERR_HYPER_VALUE', event: 'Top', message: /^encoder.encode is not a function\. / })
    assert.throws(() => emitter.emit('EventPeer', { id: 'x', addresses: [] }), { code: 'ERR_HYPER_INVALID_ARG' })
    assert.throws(() => emitter.emit('EventPeer', { id: 'x' }), { code: 'ERR_HYPER_INVALID_ARG' })
    const peer = { name: 'EventPeer', payload: { id: 'x', addresses: [{ ip: '127.0.0.1', port: 1 }] } }
    await emitter.append([peer])
    await assert.rejects(emitter.append([peer, { name: 'EventPeer', payload: { id: 'x', addresses: [] } }]), { code: 'ERR_HYPER_INVALID_ARG' })
  })

  test('refuses an event that is too large, and stores later ones', async (t) => {
    const emitter = make(t, SCHEMA, { maxEventSize: 1000 })
    assert.throws(() => emitter.emit('T', { num: 1, foo: 'x'.repeat(1000) }), { code: 'ERR_HYPER_TOO_LARGE', event: 'T' })
    assert.throws(() => emitter.emit('raw', Buffer.alloc(1000)), { code: 'ERR_HYPER_TOO_LARGE' })
    await emitter.append('T', { num: 1, foo: 'x'.repeat(900) })
    assert.equal((await emitter.stats()).change, 1)
  })

  test('ignores a third argument that is not a function (1.x wrote to other logs)', async (t) => {
    const emitter = make(t)
    const heard = hear(emitter, 'T', 2)
    emitter.emit('T', { num: 1 }, { log: 'other' }).emit('T', { num: 2 }, 'text')
    await heard
    assert.deepEqual((await emitter.stats()).logs.length, 1)
  })
})

describe('listeners', () => {
  test('must be functions, and event names must be strings', (t) => {
    const emitter = make(t)
    for (const wrong of [undefined, null, 5, 'ab', {}, { length: 2 }, []]) {
      assert.throws(() => emitter.on('T', wrong), { name: 'TypeError', code: 'ERR_HYPER_INVALID_ARG' })
      assert.throws(() => emitter.once('T', wrong), TypeError)
    }
    assert.throws(() => emitter.on(Symbol('x'), () => {}), { code: 'ERR_HYPER_INVALID_ARG' })
    assert.throws(() => emitter.on(), TypeError)
    emitter.on('toString', () => {}).on('__proto__', () => {})
  })
})

describe('listen and connect', () => {
  test('a port in use and a bad port reach the callback, and listen can be tried again', async (t) => {
    const server = net.createServer().listen(0, '127.0.0.1')
    t.after(() => server.close())
    await new Promise((resolve) => server.on('listening', resolve))
    const { port } = server.address()
    const emitter = make(t)
    const [busy] = await called((callback) => emitter.listen(port, '127.0.0.1', callback))
    assert.deepEqual([busy.code, busy.message], ['EADDRINUSE', `listen EADDRINUSE: address already in use 127.0.0.1:${port}`])
    await assert.rejects(emitter.listen(99999, '127.0.0.1'), { name: 'RangeError', code: 'ERR_SOCKET_BAD_PORT' })
    await assert.rejects(emitter.listen('abc'), { code: 'ERR_SOCKET_BAD_PORT' })
    assert.equal(emitter._listening, false)
    const address = await emitter.listen('0', '127.0.0.1')
    assert.deepEqual([address.address, address.family, address.port > 0], ['127.0.0.1', 'IPv4', true])
    assert.throws(() => emitter.listen(0), { code: 'ERR_SERVER_ALREADY_LISTEN' })
  })

  test('bad ports to connect to throw at once', (t) => {
    const emitter = make(t)
    assert.throws(() => emitter.connect(99999, '127.0.0.1', () => {}), {
      name: 'RangeError', code: 'ERR_SOCKET_BAD_PORT', message: 'Port should be >= 0 and < 65536. Received type number (99999).'
    })
    assert.throws(() => emitter.connect(undefined, '127.0.0.1', () => {}), { name: 'TypeError', code: 'ERR_MISSING_ARGS' })
    assert.throws(() => emitter.connect('abc', '127.0.0.1'), { code: 'ERR_SOCKET_BAD_PORT' })
    assert.throws(() => emitter.connect(1, 5), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.deepEqual(emitter._peers, {})
  })

  test('a peer that sends garbage ends only its own link', async (t) => {
    const emitter = make(t)
    const errors = []
    emitter.status.on('peerError', (error) => errors.push(error.code))
    const { port } = await emitter.listen(0, '127.0.0.1')
    for (const bytes of [Buffer.alloc(120, 0xff), Buffer.from('ffffffffffffffff7f00', 'hex'), Buffer.from('808080800400', 'hex')]) {
      await new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes))
        socket.on('error', () => {}).on('close', resolve).resume()
      })
    }
    assert.deepEqual([...new Set(errors)], ['ERR_HYPER_PROTOCOL'])
    await emitter.append('T', { num: 1 })
    await settled(emitter)
    assert.deepEqual(emitter._peers, {})
  })
})

describe('stores that cannot be opened', () => {
  test('a folder with other files is refused and not changed', async (t) => {
    const place = folder()
    fs.writeFileSync(path.join(place, 'mine.txt'), 'mine')
    const emitter = new HyperEmitter(place, SCHEMA)
    t.after(() => emitter.close())
    const answer = called((callback) => emitter.emit('T', { num: 1 }, callback))
    await assert.rejects(emitter.ready(), { code: 'ERR_HYPER_NOT_A_STORE' })
    assert.equal((await answer)[0].code, 'ERR_HYPER_NOT_A_STORE')
    await assert.rejects(emitter.append('T', { num: 2 }), { code: 'ERR_HYPER_NOT_A_STORE' })
    await assert.rejects(emitter.listen(0, '127.0.0.1'), { code: 'ERR_HYPER_NOT_A_STORE' })
    await emitter.close()
    assert.deepEqual(fs.readdirSync(place), ['mine.txt'])
  })

  test('a path that cannot be written is reported on status', async (t) => {
    const emitter = new HyperEmitter(path.join(folder(), 'x'.repeat(300)), SCHEMA)
    t.after(() => emitter.close())
    const [error] = await called((callback) => emitter.status.on('error', callback))
    assert.equal(error.code, 'ERR_HYPER_STORAGE')
  })

  test('a store in use by another process is refused with ERR_HYPER_LOCKED', async (t) => {
    const place = path.join(folder(), 'db')
    const emitter = new HyperEmitter(place, SCHEMA)
    t.after(() => emitter.close())
    await emitter.ready()
    const { stdout } = await child(`HyperEmitter(${JSON.stringify(place)}, SCHEMA).ready().catch((error) => console.log(error.code))`)
    assert.equal(stdout, 'ERR_HYPER_LOCKED\n')
  })

  test('without a listener for error, the failure is an uncaught exception', async () => {
    const place = folder()
    fs.writeFileSync(path.join(place, 'mine.txt'), 'mine')
    const { code, stderr } = await child(`HyperEmitter(${JSON.stringify(place)}, SCHEMA)`)
    assert.notEqual(code, 0)
    assert.match(stderr, /ERR_HYPER_NOT_A_STORE/)
  })
})
