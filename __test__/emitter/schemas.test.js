'use strict'

/** Schemas that change: what a store records of them, and which warnings users get. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { once } = require('node:events')
const { duplexPair } = require('../trust/duplex-pair')
const { test } = require('node:test')

const { STORES } = require('./stores')
const { HyperEmitter, folder, turns } = require('./helpers')
const EventCodecs = require('../../lib/emitting/event-codecs')
const SchemaRecord = require('../../lib/emitting/schema-record')

const OLD = `
message order { optional string id = 1; repeated Line lines = 2; optional Kind kind = 3; }
message Line { required string item = 1; optional uint32 price = 3; }
enum Kind { SALE = 0; GIFT = 1; }
message note { optional string text = 1; }
`

/** `OLD` with some text replaced. */
function changed (from, to) {
  assert.ok(OLD.includes(from))
  return OLD.replace(from, to)
}

function make (t, db, schema, options) {
  const emitter = new HyperEmitter(db, schema, options)
  t.after(() => emitter.close())
  emitter.warnings = []
  emitter.status.on('warning', (error) => emitter.warnings.push(error))
  return emitter
}

/** The warnings once the stored schemas have been compared. */
async function warned (emitter) {
  await emitter.schemas()
  await turns(2)
  return emitter.warnings.map(({ code, message }) => `${code} ${message}`)
}

/** A store in a folder with an order of `OLD`. */
async function stored (t, schema = OLD, options) {
  const store = path.join(folder(), 'store')
  const emitter = make(t, store, schema, options)
  await emitter.append('order', { id: '1', lines: [{ item: 'a', price: 2 }] })
  await emitter.close()
  return store
}

const DRIFT = 'ERR_HYPER_SCHEMA_DRIFT the schema cannot read every stored event: '

for (const [kind, open] of STORES) {
  test(`${kind} remembers the messages of emitted events`, async (t) => {
    const emitter = make(t, open(), OLD)
    assert.deepEqual(await emitter.schemas(), [])
    await emitter.append('order', { id: '1' })
    assert.deepEqual(await emitter.schemas(), [{
      name: 'order',
      protobuf: '1.x',
      proto: `message order {
  message Line {
    required string item = 1;
    optional uint32 price = 3;
  }
  enum Kind {
    SALE = 0;
    GIFT = 1;
  }
  optional string id = 1;
  repeated Line lines = 2;
  optional Kind kind = 3;
}
`,
      differences: []
    }])
    await emitter.append([{ name: 'note', payload: { text: 'b' } }])
    emitter.registerCodec('raw', { encode: () => Buffer.from('x'), decode: () => 'x' })
    await emitter.append('raw', 'x')
    await emitter.append('bytes', Buffer.from('x'))
    assert.deepEqual((await emitter.schemas()).map(({ name }) => name), ['order', 'note'])
  })
}

test('a schema that cannot read stored events is reported at every opening, with the path of the field', async (t) => {
  const store = await stored(t)
  for (let opening = 0; opening < 2; opening++) {
    const emitter = make(t, store, changed('uint32 price', 'string price'))
    assert.deepEqual(await warned(emitter), [`${DRIFT}order.lines.price: was uint32 = 3, is string = 3`])
    assert.deepEqual(emitter.warnings[0].differences, [{ path: 'order.lines.price', was: 'uint32 = 3', is: 'string = 3' }])
    assert.ok(emitter.warnings[0] instanceof HyperEmitter.HyperError)
    await emitter.close()
  }
})

test('an added required field, and a removed message, are reported', async (t) => {
  const store = await stored(t)
  for (const [schema, words] of [
    [changed('price = 3;', 'price = 3; required bool sold = 4;'), 'order.lines.sold: was not there, is required bool = 4'],
    [changed('message order', 'message sale'), 'order: was message order, is not in the schema']
  ]) {
    const emitter = make(t, store, schema)
    assert.deepEqual(await warned(emitter), [DRIFT + words])
    await emitter.close()
  }
})

test('compatible changes, codecs of users and emitters without a schema cause no report', async (t) => {
  const store = await stored(t)
  const codec = { encode: () => Buffer.alloc(0), decode: () => 1 }
  for (const schema of [
    OLD,
    changed('price = 3;', 'price = 3; optional string colour = 5;'),
    changed('optional uint32 price = 3;', ''),
    changed('uint32 price', 'int64 amount'),
    changed('optional string id', 'repeated bytes id'),
    changed('optional Kind kind', 'optional int32 kind'),
    { ...HyperEmitter.compile(OLD), order: codec },
    undefined
  ]) {
    const emitter = make(t, store, schema)
    assert.deepEqual(await warned(emitter), [])
    await emitter.close()
  }
  // Events of either encoding are read with the same messages.
  const standard = make(t, store, OLD, { protobuf: 'standard', strict: false })
  assert.deepEqual(await warned(standard), [])
})

test('lists that only one of the two encodings packs are not reported, because events are read by the form for their encoding', async (t) => {
  const lists = 'syntax = "proto3"; message order { repeated int32 counts = 1; } message note { string text = 1; }'
  for (const [before, after] of [[{}, { protobuf: 'standard' }], [{ protobuf: 'standard' }, {}]]) {
    const store = path.join(folder(), 'store')
    const first = make(t, store, lists, before)
    await first.append('order', { counts: [1, 300] })
    await first.close()
    const second = make(t, store, lists, after)
    assert.deepEqual(await warned(second), [])
    for await (const { payload } of second.read()) assert.deepEqual(payload, { counts: [1, 300] })
    await second.close()
  }
  for (const { warnings } of await linked(t, [lists], [lists, { protobuf: 'standard' }])) assert.deepEqual(warnings, [])
})

test('in 1.x\'s encoding a removed enum value is reported, because events with it cannot be read', async (t) => {
  const fewer = changed(' GIFT = 1;', '')
  const store = await stored(t, fewer)
  // The value is recorded when it is added.
  const second = make(t, store, OLD)
  await second.append('order', { kind: 1 })
  assert.deepEqual((await second.schemas()).map(({ proto }) => proto.includes('GIFT = 1;')), [true])
  await second.close()
  const third = make(t, store, fewer)
  assert.deepEqual(await warned(third), [`${DRIFT}order.kind: was Kind = 3 with GIFT = 1, is Kind = 3 without it`])
  const refused = []
  for await (const { error } of third.read()) refused.push(error?.code)
  assert.deepEqual(refused, [undefined, 'ERR_HYPER_DECODE'])
  await third.close()

  const standard = make(t, await stored(t, OLD, { protobuf: 'standard' }), fewer, { protobuf: 'standard' })
  assert.deepEqual(await warned(standard), [])
})

test('a record that could not be read or stored is stored with the next event', async () => {
  const codecs = new EventCodecs({ codecs: HyperEmitter.compile(OLD) }, false)
  const faults = { askFact: [new Error('too many open files')], setFact: [new Error('no space left')] }
  const facts = []
  let called
  const core = {
    askFact: () => { called = 'askFact' },
    setFact: (id, fact, text) => {
      called = 'setFact'
      if (faults.setFact.length === 0) facts.push(text)
    }
  }
  const requests = {
    ask: (ask, callback) => {
      ask(1)
      const fault = faults[called].shift()
      queueMicrotask(() => callback(fault ?? null, fault === undefined ? {} : undefined))
    }
  }
  assert.ok(new SchemaRecord({ core, requests, codecs, status: { warn: assert.fail } }))
  for (let event = 1; event <= 4; event++) {
    codecs.encoder('order')
    await turns(2)
    assert.equal(facts.length, event < 3 ? 0 : 1, `event ${event}`)
  }
  assert.match(facts[0], /"order"/)
})

test('a list that standard protobuf packs by itself cannot become a single field', async (t) => {
  const schema = (label) => `syntax = "proto3"; message order { ${label} int32 counts = 1; }`
  const store = path.join(folder(), 'store')
  const first = make(t, store, schema('repeated'), { protobuf: 'standard' })
  await first.append('order', { counts: [1, 2] })
  await first.close()
  const second = make(t, store, schema(''), { protobuf: 'standard' })
  assert.deepEqual(await warned(second), [`${DRIFT}order.counts: was repeated int32 = 1, packed, is int32 = 1`])
})

test('a list of messages with key and value can become a map, and a map such a list', async (t) => {
  const list = 'message order { repeated Price prices = 1; } message Price { optional string key = 1; optional int32 value = 2; }'
  const map = 'message order { map<string, int32> prices = 1; }'
  const payloads = new Map([[list, { prices: [{ key: 'a', value: 1 }] }], [map, { prices: { a: 1 } }]])
  for (const options of [{}, { protobuf: 'standard' }]) {
    for (const [before, after] of [[list, map], [map, list]]) {
      const store = path.join(folder(), 'store')
      const first = make(t, store, before, options)
      await first.append('order', payloads.get(before))
      await first.close()
      const second = make(t, store, after, options)
      assert.deepEqual(await warned(second), [])
      for await (const { payload } of second.read()) assert.deepEqual(payload, payloads.get(after))
      await second.close()
    }
  }
})

test('recursive schemas are compared', async (t) => {
  const tree = (type) => `message tree { optional tree left = 1; optional tree right = 2; optional ${type} value = 3; }`
  const store = path.join(folder(), 'store')
  const first = make(t, store, tree('int32'), { protobuf: 'standard' })
  await first.append('tree', { left: { value: 1 }, right: { left: { value: 2 } } })
  await first.close()
  const second = make(t, store, tree('double'), { protobuf: 'standard' })
  assert.deepEqual(await warned(second), [`${DRIFT}tree.value: was int32 = 3, is double = 3`])
})

test('the record is written when messages change, not with each event', async (t) => {
  const store = await stored(t)
  const emitter = make(t, store, OLD)
  await emitter.ready()
  const { commits: before } = await emitter.stats()
  for (let i = 0; i < 5; i++) await emitter.append('order', { id: String(i) })
  assert.equal((await emitter.stats()).commits - before, 5)
  await emitter.close()

  // A field that is added replaces the form without it; the emitter of before the upgrade adds none.
  for (const [schema, forms] of [[changed('id = 1;', 'id = 1; optional bool paid = 9;'), 1], [OLD, 1], [changed('string id', 'uint32 id'), 2]]) {
    const next = make(t, store, schema)
    await next.append('order', { id: schema.includes('uint32 id') ? 1 : '1' })
    assert.equal((await next.schemas()).length, forms)
    await next.close()
  }
  const last = make(t, store, OLD)
  assert.deepEqual(await warned(last), [`${DRIFT}order.id: was uint32 = 1, is string = 1`])
  const [{ proto, differences }, second] = await last.schemas()
  assert.match(proto, /optional bool paid = 9;/)
  assert.deepEqual([differences, second.differences], [[], [{ path: 'order.id', was: 'uint32 = 1', is: 'string = 1' }]])
})

test('an emitter that is closed immediately has written the record', async (t) => {
  const store = path.join(folder(), 'store')
  const emitter = make(t, store, OLD)
  emitter.emit('order', { id: '1' })
  await emitter.close()
  const [{ name }] = await make(t, store).schemas()
  assert.equal(name, 'order')
})

test('a schema from a stream is compared once it has been read', async (t) => {
  const store = await stored(t)
  const { Readable } = require('node:stream')
  const emitter = make(t, store, Readable.from([changed('uint32 price', 'string price')]))
  const [{ code }] = await once(emitter.status, 'warning')
  assert.equal(code, 'ERR_HYPER_SCHEMA_DRIFT')
})

/** Two emitters with a link between them, and the warnings of each. */
async function linked (t, [schema, options], [otherSchema, otherOptions]) {
  const a = make(t, undefined, schema, options)
  const b = make(t, undefined, otherSchema, otherOptions)
  const [left, right] = duplexPair()
  const synced = Promise.all([once(a.status, 'synced'), once(b.status, 'synced')])
  await Promise.all([a.handle(left, { dialled: true }), b.handle(right)])
  await synced
  // They exchange their schemas before this.
  const heard = once(b, 'note')
  await a.append('note', { text: 'x' })
  await heard
  const back = once(a, 'note')
  await b.append('note', { text: 'y' })
  await back
  await a.stats()
  return [a, b]
}

test('contradicting schemas of two peers are reported on both sides, and replication continues', async (t) => {
  const [a, b] = await linked(t, [OLD], [changed('uint32 price', 'string price')])
  for (const [one, other, theirs, ours] of [[a, b, 'string', 'uint32'], [b, a, 'uint32', 'string']]) {
    const [warning, ...more] = one.warnings
    assert.equal(more.length, 0)
    assert.equal(warning.code, 'ERR_HYPER_SCHEMA_DRIFT')
    const { log: logId } = await other.stats()
    assert.equal(warning.log, logId)
    assert.equal(warning.message,
      `the schema of the peer that writes log "${logId}" contradicts this emitter's: order.lines.price: the peer's is ${theirs} = 3, ours ${ours} = 3`)
    const { peers } = await one.stats()
    assert.equal(warning.peer, peers[0].key)
  }
})

test('an emitter that listens before its schema has been read sends peers the schema once it has been read', async (t) => {
  const { PassThrough } = require('node:stream')
  const source = new PassThrough()
  const a = make(t, undefined, source)
  const b = make(t, undefined, changed('uint32 price', 'string price'))
  const listening = a.listen(0, '127.0.0.1')
  source.end(OLD)
  const { port } = await listening
  const warned = Promise.all([a, b].map(({ status }) => once(status, 'warning')))
  await b.connect(port, '127.0.0.1')
  for (const [{ code }] of await warned) assert.equal(code, 'ERR_HYPER_SCHEMA_DRIFT')
})

test('compatible schemas of two peers are not reported', async (t) => {
  for (const [one, other] of [
    [[OLD], [changed('price = 3;', 'price = 3; optional string colour = 5;')]],
    [[OLD], [changed('message order', 'message sale')]],
    [[OLD], [OLD, { protobuf: 'standard', strict: false }]]
  ]) {
    const both = await linked(t, one, other)
    for (const { warnings } of both) assert.deepEqual(warnings, [])
  }
})

test('a schema that is too large to be sent to peers is reported to its owner', async (t) => {
  const fields = Array.from({ length: 9000 }, (_, n) => `optional int32 field_of_a_large_message_${n} = ${n + 1};`)
  const emitter = make(t, undefined, `message large { ${fields.join(' ')} } message note { optional string text = 1; }`)
  const [left] = duplexPair()
  emitter.handle(left).catch(() => {})
  const [warning] = emitter.warnings
  assert.equal(warning.code, 'ERR_HYPER_TOO_LARGE')
  assert.match(warning.message, /^the description of the schema is \d+ bytes, the limit is 262144/)
  left.destroy()
})
