'use strict'

// Values that cannot be encoded: the code, the event and the field's path, whatever the encoding.

const test = require('node:test')
const assert = require('node:assert/strict')
const { runInNewContext } = require('node:vm')
const { compile, fast } = require('../../lib/codec')

const SCHEMA = 'message Order { repeated Line lines = 1; map<string, Line> byName = 2; optional string note = 3; optional E e = 4; repeated int32 ids = 5; } message Line { required int32 price = 1; optional bytes data = 2; oneof by { string card = 3; string invoice = 4; } } enum E { A = 0; }'
const CASES = [
  [{ lines: [{ price: 1 }, {}] }, 'lines[1].price'],
  [{ lines: [{ price: 1 }, { price: Infinity }] }, 'lines[1].price'],
  [{ byName: { x: {} } }, /^byName\["x"\](\.value)?\.price$/],
  [{ lines: [{ price: 1, data: 5 }] }, 'lines[0].data'],
  [{ lines: [{ price: 1 }, { price: 1, card: 'a', invoice: 'b' }] }, 'lines[1].invoice'],
  [{ e: 7 }, 'e'],
  [{ note: Symbol('x') }, 'note'],
  [{ ids: [1, Infinity] }, 'ids[1]']
]

for (const options of [{}, { interpret: true }, { protobuf: 'standard' }]) {
  test(`refused payloads are reported with the event and the field: ${JSON.stringify(options)}`, () => {
    const { Order } = compile(SCHEMA, options)
    for (const [value, field] of CASES) {
      if (options.protobuf && value.e) continue // open enums
      for (const encode of [(v) => Order.encode(v), (v) => fast(Order).write(v, Buffer.alloc(1000), 0)]) {
        assert.throws(() => encode(value), (error) => {
          assert.match(error.code, /^ERR_(HYPER_VALUE|INVALID_ARG_TYPE)$/, error.stack)
          assert.equal(error.event, 'Order')
          if (typeof field === 'string') assert.equal(error.field, field)
          else assert.match(error.field, field)
          return true
        })
      }
    }
  })
}

test('an error that a user\'s getter throws is passed on unchanged', () => {
  const { Order } = compile(SCHEMA)
  const own = Object.assign(new Error('mine'), { code: 'MINE' })
  for (const thrown of [own, undefined, null, 'text', Symbol('s')]) {
    try {
      Order.encode({ get note () { throw thrown } })
      assert.fail('nothing was thrown')
    } catch (caught) {
      assert.equal(caught, thrown)
    }
  }
  assert.equal(own.code, 'MINE')
})

test('a Uint8Array of another realm is accepted as bytes', () => {
  const { Order } = compile(SCHEMA, { protobuf: 'standard' })
  const foreign = runInNewContext('new Uint8Array([10, 2, 8, 5])')
  assert.equal(Order.decode(foreign).lines[0].price, 5)
  assert.equal(Order.encode({ lines: [{ price: 1, data: foreign }] }).toString('hex'), '0a080801' + '12040a020805')
  assert.equal(Order.toJSON({ lines: [{ price: 1, data: foreign }] }).lines[0].data, 'CgIIBQ==')
})

test('a Date and a boxed number of another realm are treated like those of this realm', () => {
  const { M } = compile('syntax = "proto3"; message M { int64 a = 1; }', { protobuf: 'standard', strict: false })
  for (const [text, value] of [['new Date(5)', 5], ['new Number(5)', 5]]) {
    const foreign = runInNewContext(text)
    assert.equal(M.decode(M.encode({ a: foreign })).a, value)
    assert.deepEqual(M.toJSON({ a: foreign }), { a: '5' })
  }
})

test('in standard encoding, a message named like a scalar type can be used by its name', () => {
  const { string } = compile('syntax = "proto3"; message string { int32 a = 1; }', { protobuf: 'standard' })
  assert.equal(string.encode({ a: 5 }).toString('hex'), '0805')
})

test('an extension with the name of a field, or of another extension, appears under its qualified name', () => {
  const text = 'syntax = "proto2"; package p; message E { extensions 100 to 200; optional int32 a = 1; } extend E { optional int32 a = 100; repeated int32 b = 101; }'
  for (const options of [{}, { protobuf: 'standard' }]) {
    const { E } = compile(text, options)
    assert.equal(E.encode({ a: 1 }).toString('hex'), '0801')
    assert.equal(E.decode(Buffer.from('0801', 'hex')).a, 1)
    assert.equal(E.encode({ a: 1, '[p.a]': 2 }).toString('hex'), '0801a00602')
    assert.deepEqual(E.fromJSON({ a: 1, '[p.a]': 2 }), { a: 1, '[p.a]': 2 })
  }
})
