'use strict'

// What `strict` refuses and accepts. A shorter table is in UPGRADING.md and is tested in __test__/docs/upgrading.test.js.

const test = require('node:test')
const assert = require('node:assert/strict')
const { runInNewContext } = require('node:vm')
const { compile } = require('../../lib/codec')
const faithful = require('./support/faithful')

const SCHEMA = `syntax = "proto2"; enum E { A = 0; B = 1; } message N { optional int32 foo_bar = 1; } message Empty {}
message M { optional int32 int = 1; optional uint32 uint = 2; optional int64 long = 3; optional double num = 4; optional float single = 5;
  optional bool flag = 6; optional string text = 7; optional bytes raw = 8; optional E e = 9; optional N nested = 10; repeated N list = 11;
  repeated int32 ints = 12 [packed = true]; map<string, N> dict = 13; map<int32, int32> byNumber = 14; map<bool, int32> byFlag = 15;
  oneof choice { int32 one = 16; string two = 17; } optional fixed64 fixed = 18; optional M m = 19; optional uint64 ulong = 20; optional Empty empty = 21; }`
const V1 = compile(SCHEMA, { strict: true })
const STANDARD = compile(SCHEMA, { protobuf: 'standard' })
const seed = Number(process.env.FUZZ_SEED || 1)
const cases = Math.ceil(Number(process.env.FUZZ_CASES || 6000) / 2)

for (const options of [{}, { interpret: true }, { protobuf: 'standard' }]) {
  test(`every random message that is accepted is decoded unchanged: ${JSON.stringify(options)}`, (t) => {
    const count = faithful.run({ seed, cases, compile, options })
    t.diagnostic(JSON.stringify(count))
    assert.ok(count.refused > cases / 4 && count.refused < count.cases * 0.9)
  })
}

// [payload, field, reason], of both encodings
const REFUSED = [
  [null, undefined, 'a M is an object, not null'],
  [undefined, undefined, 'a M is an object, not undefined'],
  ['text', undefined, 'a M is an object, not a string'],
  [new Date(5), undefined, 'a M is an object, not [object Date]'],
  [[{ int: 1 }], undefined, 'a M is an object, not [object Array]'],
  [Promise.resolve(), undefined, 'a M is an object with its fields, not [object Promise]'],
  [Object(7), undefined, 'a M is an object with its fields, not [object Number]'],
  [{ int: 1.5 }, 'int', '1.5 is out of range for int32, which takes whole numbers from -2147483648 to 2147483647'],
  [{ uint: 2 ** 40 }, 'uint', '1099511627776 is out of range for uint32, which takes whole numbers from 0 to 4294967295'],
  [{ int: NaN }, 'int', 'NaN is out of range for int32, which takes whole numbers from -2147483648 to 2147483647'],
  [{ long: NaN }, 'long', 'NaN is out of range for int64, which takes whole numbers from -9223372036854775808 to 9223372036854775807'],
  [{ int: '7' }, 'int', '"7" is not a number'],
  [{ int: 7n }, 'int', 'BigInt 7 is not a number'],
  [{ int: true }, 'int', 'true is not a number'],
  [{ long: new Date(5) }, 'long', '[object Date] is not a number'],
  [{ num: '1' }, 'num', '"1" is not a number'],
  [{ single: 1e39 }, 'single', '1e+39 is out of range for float: make the field a double'],
  [{ flag: 'false' }, 'flag', '"false" is not true or false'],
  [{ text: 5 }, 'text', '5 is not a string'],
  [{ text: 'a\ud800' }, 'text', '"a\\ud800" has half a surrogate pair'],
  [{ raw: 5 }, 'raw', '5 is neither bytes nor text'],
  [{ e: 'C' }, 'e', '"C" is not a value of enum E'],
  [{ e: NaN }, 'e', undefined],
  [{ nested: 5 }, 'nested', 'a N is an object, not a number'],
  [{ nested: { fooBar: 1 } }, 'nested.fooBar', "N has no such field: did you mean 'foo_bar'?"],
  [{ empty: { x: 1 } }, 'empty.x', 'Empty has no such field: it has none'],
  [{ m: { misspelt: 1 } }, 'm.misspelt', "M has no such field: it has 'int', 'uint', 'long', 'num', 'single' and 16 more"],
  [{ list: 'zz' }, 'list', 'a repeated field takes an array'],
  [{ list: { length: 1, 0: {} } }, 'list', 'a repeated field takes an array'],
  [{ ints: new DataView(new ArrayBuffer(4)) }, 'ints', 'a repeated field takes an array'],
  [{ list: [{}, null] }, 'list[1]', 'null cannot be in a list'],
  [{ ints: new Array(1) }, 'ints[0]', 'undefined cannot be in a list'],
  [{ list: [{}, { foo_bar: 0.5 }] }, 'list[1].foo_bar', undefined],
  [{ dict: new Map([['a', {}]]) }, 'dict', 'a map is an object, not [object Map]'],
  [{ dict: { a: { foo_bar: '1' } } }, 'dict["a"].foo_bar', '"1" is not a number'],
  [{ dict: { a: undefined } }, 'dict["a"]', 'undefined cannot be in a map'],
  [{ byNumber: { 1: null } }, 'byNumber["1"]', 'null cannot be in a map'],
  [{ byNumber: { '007': 1 } }, 'byNumber["007"]', 'the key "007" is not a whole number in plain digits'],
  [{ byNumber: { 2147483648: 1 } }, 'byNumber["2147483648"]', undefined],
  [{ byFlag: { yes: 1 } }, 'byFlag["yes"]', 'the key "yes" is not true or false'],
  [{ one: 1, two: 'x' }, 'two', "only one member of oneof choice can be set, and 'one' is set as well"]
]

// Values that standard protobuf can store and 1.x's encoding cannot: [payload, field, reason, decoded]
const V1_REFUSED = [
  [{ num: NaN }, 'num', "NaN counts as absent in 1.x's encoding: leave the field out, or use protobuf: 'standard'"],
  [{ long: 2 ** 60 }, 'long', "1152921504606847000 is not exact in 1.x's encoding, which holds whole numbers up to 9007199254740991: use protobuf: 'standard'", { long: 2n ** 60n }],
  [{ ulong: 2n ** 64n - 1n }, 'ulong', 'BigInt 18446744073709551615 is not a number'],
  [{ e: 'B' }, 'e', "\"B\" is not a value of enum E: 1.x's encoding takes its number, 1", { e: 1 }],
  [{ e: 7 }, 'e', '7 is not a value of enum E'],
  [{ fixed: 7 }, 'fixed', '7 is not a Buffer of eight bytes'],
  [{ byFlag: { false: 1 } }, 'byFlag["false"]', "1.x's encoding turns the key false into true: use protobuf: 'standard'"],
  [{ dict: { ['__proto__']: { foo_bar: 1 } } }, 'dict["__proto__"]', "1.x's encoding loses the key __proto__: take another one, or use protobuf: 'standard'"]
]

function refuses (message, payload, field, reason) {
  assert.throws(() => message.encode(payload), (error) => {
    assert.equal(error.code, 'ERR_HYPER_VALUE', error.stack)
    assert.equal(error.event, 'M')
    assert.equal(error.field, field, error.message)
    if (reason !== undefined) assert.equal(error.message, `${field === undefined ? 'M' : 'M.' + field}: ${reason}`)
    return true
  }, `${field}: ${reason}`)
}

test('values that both encodings refuse are reported with the path of the field', () => {
  for (const [payload, field, reason] of REFUSED) {
    refuses(V1.M, payload, field, reason)
    refuses(STANDARD.M, payload, field, reason)
  }
})

test('values that only 1.x\'s encoding cannot hold are refused only there', () => {
  for (const [payload, field, reason, decoded = payload] of V1_REFUSED) {
    refuses(V1.M, payload, field, reason)
    const [name] = Object.keys(payload)
    assert.deepEqual(STANDARD.M.decode(STANDARD.M.encode(payload))[name], decoded[name])
  }
})

test('1.x\'s encoding accepts exactly those negative int64 values that are decoded unchanged', () => {
  const lax = compile(SCHEMA).M
  let refused = 0
  for (const value of [-1, -127, -128, -129, -300, -16384, -(2 ** 31), -(2 ** 35), -(2 ** 42), -(2 ** 49), -(2 ** 53) + 1, -1e12, -1600000000000]) {
    const decoded = lax.decode(lax.encode({ long: value })).long
    if (decoded === value) {
      assert.equal(V1.M.decode(V1.M.encode({ long: value })).long, value)
    } else {
      refused++
      refuses(V1.M, { long: value }, 'long', `1.x's encoding turns ${value} into ${decoded}: make the field an sint64, or use protobuf: 'standard'`)
    }
    assert.equal(STANDARD.M.decode(STANDARD.M.encode({ long: value })).long, value)
  }
  assert.ok(refused > 0)
})

test('a decoded message can be encoded again', () => {
  for (const { M } of [V1, STANDARD]) {
    const bytes = M.encode({ int: 1, m: { dict: { a: {} }, list: [{}], one: 0 }, one: 5 })
    assert.equal(M.encode(M.decode(bytes)).toString('hex'), M.encode(M.decode(M.encode(M.decode(bytes)))).toString('hex'))
  }
  // An entry without a value, as 1.x's own programs can write it.
  const entry = V1.M.decode(compile(SCHEMA).M.encode({ one: 1, dict: { a: undefined } }))
  assert.equal(entry.dict.a, null)
  assert.deepEqual(V1.M.decode(V1.M.encode({ one: 1, dict: entry.dict })).dict, { a: null })
})

test('payloads of any class or realm, undefined or null fields, and typed arrays as lists are accepted', () => {
  class Payload {
    constructor () {
      this.text = undefined
      this.misspelt = undefined
      this.nested = null
      this.ints = new Int32Array([1, 2])
      this.raw = 'text'
    }

    get int () { return 5 }
  }
  for (const { M } of [V1, STANDARD]) {
    const { int, ints, raw } = M.decode(M.encode(new Payload()))
    assert.deepEqual({ int, ints, raw }, { int: 5, ints: [1, 2], raw: Buffer.from('text') })
    assert.equal(M.decode(M.encode(runInNewContext('({ int: 5, list: [{ foo_bar: 1 }] })'))).list[0].foo_bar, 1)
    assert.equal(M.decode(M.encode(Object.assign(Object.create(null), { int: 5 }))).int, 5)
    refuses(M, new (class extends Payload { get int () { return '5' } })(), 'int', '"5" is not a number')
  }
})

test('every way to encode is strict, and decoding is not affected', () => {
  const lax = compile(SCHEMA, { protobuf: 'standard', strict: false }).M
  const loose = { int: '7', flag: 'x', misspelt: 1 }
  for (const { M } of [V1, STANDARD]) {
    for (const encode of [() => M.encode(loose, Buffer.alloc(99), 3), () => M.encodingLength(loose)]) assert.throws(encode, { code: 'ERR_HYPER_VALUE', field: 'int' })
  }
  assert.equal(STANDARD.M.decode(lax.encode(loose)).int, 7)
  assert.equal(V1.M.decode(compile(SCHEMA).M.encode(loose)).int, 7)
  assert.equal(STANDARD.M.encode({ int: 7, flag: true }).toString('hex'), lax.encode(loose).toString('hex'))
})

test('in standard protobuf, messages nested more than 100 levels deep are refused', () => {
  const nest = (levels) => levels === 1 ? {} : { m: nest(levels - 1) }
  STANDARD.M.decode(STANDARD.M.encode(nest(100)))
  assert.throws(() => STANDARD.M.encode(nest(101)), { code: 'ERR_HYPER_VALUE', message: /^M(\.m){100}: messages are nested deeper than 100 levels, and could not be decoded$/ })
  V1.M.decode(V1.M.encode(nest(300)))
  // An entry of a map is a message, too.
  const { T } = compile('syntax = "proto3"; message T { map<string, T> m = 1; }', { protobuf: 'standard' })
  const maps = (levels) => levels === 0 ? {} : { m: { x: maps(levels - 1) } }
  T.decode(T.encode(maps(49)))
  assert.throws(() => T.encode(maps(50)), { code: 'ERR_HYPER_VALUE', message: /nested deeper than 100 levels/ })
})

test('a field named like a member of Object.prototype must be set, or be null', () => {
  const { M } = compile('message M { optional fixed32 hasOwnProperty = 1; optional int32 a = 2; }', { strict: true })
  assert.throws(() => M.encode({ a: 1 }), { field: 'hasOwnProperty', message: 'M.hasOwnProperty: [object Function] is not a number' })
  assert.equal(M.encode({ a: 1, hasOwnProperty: null }).toString('hex'), '1001')
  assert.equal(M.decode(M.encode({ a: 1, hasOwnProperty: 5 })).hasOwnProperty, 5)
})

test('the option strict must be a boolean, and its default depends on the encoding', () => {
  assert.equal(compile(SCHEMA).M.encode({ misspelt: 1 }).length, 0)
  assert.equal(compile(SCHEMA, { strict: false }).M.encode({ misspelt: 1 }).length, 0)
  assert.equal(compile(SCHEMA, { protobuf: 'standard', strict: false }).M.encode({ misspelt: 1 }).length, 0)
  for (const strict of [1, 'yes', {}]) assert.throws(() => compile(SCHEMA, { strict }), { code: 'ERR_HYPER_INVALID_ARG', message: /^strict must be true or false/ })
})
