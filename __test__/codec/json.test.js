'use strict'

// Compares the protobuf JSON mapping with @bufbuild/protobuf, which passes protobuf's conformance tests.

const test = require('node:test')
const assert = require('node:assert/strict')
const { createRequire } = require('node:module')
const path = require('node:path')
const { compile } = require('../../lib/codec')
const { text, reference } = require('./support/json-schema')
const { randomJson } = require('./support/json-random')
const { generator } = require('./support/random')

const theirs = reference(createRequire(path.join(__dirname, '../protobuf/package.json')))
const M = compile(text(), { protobuf: 'standard' }).M
const old = compile(text()).M

/** Compared as text: JSON.stringify writes numbers the same way for both, except that -0 is text in ours and 0 in theirs. */
const plain = (json) => JSON.parse(JSON.stringify(json, (key, value) => value === '-0' ? 0 : value))

for (const [name, ours, legacy] of [['standard', M, false], ["1.x's", old, true]]) {
  test(`random JSON through ${name} encoding`, () => {
    const seed = Number(process.env.FUZZ_SEED || 1)
    const cases = Math.ceil(Number(process.env.FUZZ_CASES || 6000) / 6)
    for (let i = 0; i < cases; i++) {
      const json = randomJson(generator(seed + i), legacy)
      const note = `seed ${seed + i}: ${JSON.stringify(json)}`
      const message = theirs.read(json)
      const expected = plain(theirs.write(message))
      const object = ours.fromJSON(json)
      assert.deepEqual(plain(ours.toJSON(object)), expected, note)
      const bytes = ours.encode(object)
      assert.deepEqual(plain(ours.toJSON(ours.decode(bytes))), expected, note)
      if (!legacy) {
        assert.deepEqual(plain(theirs.write(theirs.parse(bytes))), expected, note)
        assert.deepEqual(plain(ours.toJSON(ours.decode(theirs.bytes(message)))), expected, note)
      }
    }
  })
}

const nested = (levels, wrap, core) => { for (let i = 0; i < levels; i++) core = wrap(core); return core }
const ANY = 'type.googleapis.com/google.protobuf.'

/** JSON texts that both refuse, by the path at the beginning of the error. */
const REFUSED = {
  M: ['null', '[]', '"text"', '1', '{"nope":1}', '{"one-int32":1}', '{"oInt":1,"oText":"a"}', '{"oNull":null,"oValue":null}'],
  'M.oneInt32': ['{"oneInt32":2147483648}', '{"oneInt32":1.5}', '{"oneInt32":"1.5"}', '{"oneInt32":" 1"}', '{"oneInt32":"1 "}', '{"oneInt32":""}', '{"oneInt32":"a"}', '{"oneInt32":true}', '{"oneInt32":{}}', '{"oneInt32":[1]}'],
  'M.oneUint32': ['{"oneUint32":-1}', '{"oneUint32":4294967296}'],
  'M.oneInt64': ['{"oneInt64":"9223372036854775808"}', '{"oneInt64":"-9223372036854775809"}', '{"oneInt64":"1.5"}', '{"oneInt64":1.5}'],
  'M.oneUint64': ['{"oneUint64":"18446744073709551616"}', '{"oneUint64":"-1"}'],
  'M.oneDouble': ['{"oneDouble":1e400}', '{"oneDouble":"nan"}', '{"oneDouble":"+Infinity"}', '{"oneDouble":"1.5 "}', '{"oneDouble":""}', '{"oneDouble":true}'],
  'M.oneFloat': ['{"oneFloat":3.5e38}', '{"oneFloat":-3.5e38}'],
  'M.oneBool': ['{"oneBool":"true"}', '{"oneBool":1}', '{"oneBool":0}'],
  'M.oneString': ['{"oneString":1}', '{"oneString":["a"]}'],
  'M.oneBytes': ['{"oneBytes":"a!b="}', '{"oneBytes":1}', '{"oneBytes":[1]}'],
  'M.e': ['{"e":"NONE"}', '{"e":1.5}', '{"e":"1"}', '{"e":true}', '{"e":"toString"}'],
  'M.manyInt32': ['{"manyInt32":1}', '{"manyInt32":{"0":1}}'],
  'M.manyInt32[1]': ['{"manyInt32":[1,null]}', '{"manyInt32":[1,"a"]}'],
  'M.selves[0]': ['{"selves":[null]}'],
  'M.byInt32': ['{"byInt32":[1]}', '{"byInt32":1}'],
  'M.byInt32["1"]': ['{"byInt32":{"1":null}}'],
  'M.byInt32["x"]': ['{"byInt32":{"x":1}}'],
  'M.byUint32["-1"]': ['{"byUint32":{"-1":1}}'],
  'M.byBool["True"]': ['{"byBool":{"True":1}}'],
  'M.wktTimestamp': ['2024-13-01T00:00:00Z', '2024-01-01T00:00:60Z', '2024-01-01t00:00:00Z', '2024-01-01T00:00:00z', '2024-01-01T00:00:00', '2024-01-01 00:00:00Z', '2024-01-01T00:00:00.Z', '2024-01-01T00:00:00.0000000001Z', '0000-01-01T00:00:00Z', '0001-01-01T00:00:00+00:01', '9999-12-31T23:59:59-00:01', '10000-01-01T00:00:00Z'].map((text) => `{"wktTimestamp":"${text}"}`),
  'M.wktDuration': ['1', 's', '1 s', '1.s', '.5s', '+1s', '1.0000000001s', '315576000001s', '-315576000001s', '1m'].map((text) => `{"wktDuration":"${text}"}`),
  'M.wktFieldMask': ['{"wktFieldMask":"foo_bar"}', '{"wktFieldMask":1}'],
  'M.wktStruct': ['{"wktStruct":1}', '{"wktStruct":[]}'],
  'M.wktListValue': ['{"wktListValue":{}}', '{"wktListValue":1}'],
  'M.wktNullValue': ['{"wktNullValue":"null"}', '{"wktNullValue":false}'],
  'M.wktBoolValue': ['{"wkt_BoolValue":{"value":true}}', '{"wkt_BoolValue":"true"}'],
  'M.listOfInt32Value[0]': ['{"listOfInt32Value":[null]}'],
  'M.wktEmpty': ['{"wktEmpty":{"a":1}}', '{"wktEmpty":1}'],
  'M.wktAny': ['{"wktAny":{"value":"AA=="}}', '{"wktAny":{"@type":1}}', '{"wktAny":{"@type":"","value":""}}', '{"wktAny":{"@type":"example.com/no.Such"}}', '{"wktAny":{"@type":"example.com/"}}', `{"wktAny":{"@type":"${ANY}Timestamp"}}`, `{"wktAny":{"@type":"${ANY}Duration","value":"x"}}`, `{"wktAny":{"@type":"${ANY}Any","value":{"@type":"no/Such"}}}`, '{"wktAny":{"@type":"example.com/p.M","nope":1}}', '{"wktAny":[]}']
}

test('JSON that does not fit the message is refused, and the error names the field', () => {
  for (const [where, texts] of Object.entries(REFUSED)) {
    for (const text of texts) {
      const json = JSON.parse(text)
      assert.throws(() => theirs.read(json), text)
      for (const ours of [M, old]) assert.throws(() => ours.fromJSON(json), place(where, text), text)
    }
  }
})

/** An error that names `where`, under the name that the JSON has for it. */
function place (where, text) {
  return function (err) {
    assert.equal(err.code, 'ERR_HYPER_VALUE', `${text}: ${err.stack}`)
    const plainly = (path) => path.replaceAll('_', '')
    assert.ok(plainly(err.message).startsWith(plainly(where)), `${text}: ${err.message}`)
    return true
  }
}

test('JSON that lenient readers accept is refused', () => {
  for (const [json, message] of [
    ['{"one_int32":1,"oneInt32":1}', 'M.oneInt32: one_int32 is given twice'],
    ['{"one_int32":null,"oneInt32":1}', 'M.oneInt32: one_int32 is given twice'],
    ['{"oneInt32":"0x10"}', 'M.oneInt32: "0x10" is not a whole number'],
    ['{"oneInt32":"01"}', 'M.oneInt32: "01" is not a whole number'],
    ['{"oneString":"\\ud800"}', /^M\.oneString: ".*" is not well-formed Unicode$/],
    ['{"byInt32":{"01":1}}', 'M.byInt32["01"]: "01" is not a whole number'],
    ['{"byInt32":{"1e0":1}}', 'M.byInt32["1e0"]: "1e0" is not a whole number in plain digits'],
    ['{"byInt32":{"-0":1}}', 'M.byInt32["-0"]: "-0" is not a whole number in plain digits'],
    ['{"oneBytes":"A"}', 'M.oneBytes: "A" is not base64 text'],
    ['{"oneBytes":"AQ="}', 'M.oneBytes: "AQ=" is not base64 text'],
    ['{"wktFieldMask":"a,"}', 'M.wktFieldMask: "" is not a path in lowerCamelCase'],
    ['{"wktValue":1e400}', 'M.wktValue: Infinity is not a JSON value'],
    ['{"wktTimestamp":"2024-02-30T00:00:00Z"}', 'M.wktTimestamp: "2024-02-30T00:00:00Z" is not an RFC 3339 time'],
    ['{"wktTimestamp":"2024-01-01T24:00:00Z"}', 'M.wktTimestamp: "2024-01-01T24:00:00Z" is not an RFC 3339 time'],
    ['{"wktAny":{"@type":"p.M"}}', 'M.wktAny["@type"]: "p.M" is not a type URL such as "type.googleapis.com/package.Message"'],
    ['{"wktAny":{"@type":"x/p.No"}}', 'M.wktAny["@type"]: "x/p.No" is not the type of a message that the schema knows'],
    [`{"wktAny":{"@type":"${ANY}Duration","value":"1s","more":1}}`, 'M.wktAny: "@type" google.protobuf.Duration goes with "value" and nothing else']
  ]) assert.throws(() => M.fromJSON(JSON.parse(json)), { code: 'ERR_HYPER_VALUE', message }, json)
})

test('different spellings of a value are read as the same value', () => {
  for (const [json, expected] of [
    ['{"oneInt32":1e3}', '{"oneInt32":1000}'],
    ['{"oneInt32":"1.5e1"}', '{"oneInt32":15}'],
    ['{"oneInt64":"9.223372036854775807e18"}', '{"oneInt64":"9223372036854775807"}'],
    ['{"oneInt64":"-9223372036854775808"}', '{"oneInt64":"-9223372036854775808"}'],
    ['{"oneUint64":"10.00e-1"}', '{"oneUint64":"1"}'],
    ['{"oneUint64":"0e999999999"}', '{}'],
    ['{"oneDouble":"-0"}', '{"oneDouble":"-0"}'],
    ['{"oneFloat":"1e-400"}', '{}'],
    ['{"oneBytes":"-_-_"}', '{"oneBytes":"+/+/"}'],
    ['{"oneBytes":"AQ"}', '{"oneBytes":"AQ=="}'],
    ['{"e":"EINS"}', '{"e":"ONE"}'],
    ['{"e":77}', '{"e":77}'],
    ['{"renamed_one":1}', '{"other-Name":1}'],
    ['{"oNull":null}', '{"oNull":null}'],
    ['{"oNull":"NULL_VALUE"}', '{"oNull":null}'],
    ['{"oValue":null}', '{"oValue":null}'],
    ['{"oInt":null,"oText":"a"}', '{"oText":"a"}'],
    ['{"oInt":0}', '{"oInt":0}'],
    ['{"wktStruct":null,"wktAny":null,"wktListValue":null,"listOfValue":null,"self":null}', '{}'],
    ['{"wktAny":{}}', '{"wktAny":{}}'],
    [`{"wktAny":{"value":{},"@type":"${ANY}Empty"}}`, `{"wktAny":{"@type":"${ANY}Empty"}}`],
    [`{"wktAny":{"@type":"${ANY}Value","value":null}}`, `{"wktAny":{"@type":"${ANY}Value","value":null}}`],
    ['{"wktTimestamp":"0001-01-01T00:00:00Z"}', '{"wktTimestamp":"0001-01-01T00:00:00Z"}'],
    ['{"wktTimestamp":"9999-12-31T23:59:59.999999999Z"}', '{"wktTimestamp":"9999-12-31T23:59:59.999999999Z"}'],
    ['{"wktDuration":"-0.000000001s"}', '{"wktDuration":"-0.000000001s"}'],
    ['{"map0":{"__proto__":{"oneInt32":1}}}', '{"map0":{"__proto__":{"oneInt32":1}}}']
  ]) {
    const object = M.fromJSON(JSON.parse(json))
    assert.equal(JSON.stringify(M.toJSON(object)), expected)
    assert.equal(JSON.stringify(M.toJSON(M.decode(M.encode(object)))), expected)
  }
})

test('values that have no JSON form are refused, and the error names the field', () => {
  for (const [object, message] of [
    [{ wkt_Value: {} }, 'M.wkt_Value: a Value that holds nothing has no JSON form'],
    [{ wkt_Value: { number_value: NaN } }, 'M.wkt_Value: NaN is not a number that JSON has'],
    [{ wkt_Struct: { fields: { a: { number_value: Infinity } } } }, 'M.wkt_Struct["a"]: Infinity is not a number that JSON has'],
    [{ wkt_Timestamp: { seconds: 253402300800 } }, /^M\.wkt_Timestamp: a Timestamp is between the years 1 and 9999/],
    [{ wkt_Timestamp: { nanos: -1 } }, /^M\.wkt_Timestamp: /],
    [{ wkt_Timestamp: { seconds: NaN } }, /^M\.wkt_Timestamp: seconds and nanos are out of range/],
    [{ wkt_Duration: { seconds: 1, nanos: -1 } }, /^M\.wkt_Duration: /],
    [{ wkt_Duration: { seconds: 315576000001n } }, /^M\.wkt_Duration: /],
    ...['fooBar', 'foo__bar', 'foo_3', 'foo_', 'a,b', ''].map((path) => [{ wkt_FieldMask: { paths: [path] } }, /^M\.wkt_FieldMask: .* is not a path that a FieldMask in JSON can hold$/]),
    [{ wkt_Any: { type_url: 'x/no.Such', value: Buffer.alloc(0) } }, 'M.wkt_Any.type_url: "x/no.Such" is not the type of a message that the schema knows'],
    [{ wkt_Any: { value: Buffer.alloc(1) } }, /^M\.wkt_Any\.type_url: "" is not a type URL/],
    [{ wkt_Any: { type_url: 'x/p.M', value: Buffer.from('ff', 'hex') } }, 'M.wkt_Any.value: Could not decode varint'],
    [{ o_int: 1, o_text: 'a' }, 'M: only one of the properties defined in oneof choice can be set'],
    [{ one_int32: 'x' }, 'M.one_int32: "x" is not a whole number'],
    [{ many_int32: 1 }, 'M.many_int32: 1 is not an array'],
    [{ self: 1 }, 'M.self: 1 is not a M'],
    [{ e: 'NONE' }, 'M.e: "NONE" is not a value of enum E']
  ]) {
    for (const ours of [M, old]) assert.throws(() => ours.toJSON(object), { code: 'ERR_HYPER_VALUE', message })
  }
})

test('messages may be nested as deeply as the decoder allows, and no deeper', () => {
  const shapes = {
    self: [99, (core) => ({ self: core }), {}],
    map0: [49, (core) => ({ map0: { a: core } }), {}],
    wktAny: [99, (core) => ({ '@type': ANY + 'Any', value: core }), {}],
    wktListValue: [50, (core) => [core], []],
    wktStruct: [33, (core) => ({ a: core }), {}]
  }
  for (const [name, [levels, wrap, core]] of Object.entries(shapes)) {
    const json = (levels) => name === 'self' || name === 'map0' ? nested(levels, wrap, core) : { [name]: nested(levels - 1, wrap, core) }
    const deepest = M.fromJSON(json(levels))
    assert.deepEqual(M.toJSON(M.decode(M.encode(deepest))), json(levels), name)
    for (const ours of [M, old]) {
      for (const more of [1, 100000]) assert.throws(() => ours.fromJSON(json(levels + more)), { name: 'RangeError', code: 'ERR_HYPER_VALUE', message: /nested deeper than 100 levels$/ }, name)
    }
  }
  const circle = {}
  circle.self = circle
  assert.throws(() => M.toJSON(circle), { name: 'RangeError', code: 'ERR_HYPER_VALUE' })
})

test('no key in JSON changes a prototype', () => {
  const json = JSON.parse('{"__proto__":"text","wktStruct":{"__proto__":{"polluted":true},"constructor":1},"byString":{"__proto__":1,"toString":2}}')
  const object = M.fromJSON(json)
  assert.equal(Object.getPrototypeOf(object), Object.prototype)
  assert.deepEqual(Object.keys(object.wkt_Struct.fields), ['__proto__', 'constructor'])
  assert.equal(JSON.stringify(M.toJSON(object)), '{"byString":{"__proto__":1,"toString":2},"wktStruct":{"__proto__":{"polluted":true},"constructor":1},"Proto":"text"}')
  assert.equal({}.polluted, undefined)
  assert.throws(() => M.fromJSON(JSON.parse('{"self":{"hasOwnProperty":1}}')), { code: 'ERR_HYPER_VALUE' })
  // `constructor` is a field of M; the property that every object inherits is not its value.
  assert.deepEqual(M.toJSON({}), {})
})

test('fields with presence are written even if they hold their default, other fields are not', () => {
  const { P } = compile('syntax = "proto3"; message P { optional int32 a = 1; int32 b = 2; repeated int32 c = 3; P d = 4; optional string e_f = 5; }', { protobuf: 'standard' })
  assert.deepEqual(P.toJSON({ a: 0, b: 0, c: [], d: { b: 0 }, e_f: '' }), { a: 0, d: {}, eF: '' })
  const { Q } = compile('syntax = "proto2"; message Q { required int32 a = 1; optional int32 b = 2 [default = 5]; optional group G = 3 { optional bool x = 1; } extensions 10 to 20; } extend Q { optional int32 more = 10; }', { protobuf: 'standard' })
  assert.deepEqual(Q.toJSON(Q.decode(Q.encode({ a: 0, g: {}, more: 1 }))), { a: 0, b: 5, g: { x: false }, '[more]': 1 })
  assert.deepEqual(Q.fromJSON({ a: 0, '[more]': 1 }), Q.fromJSON({ a: 0, more: 1 }))
})

test("JSON of messages in 1.x's encoding has its values and defaults, and what the encoding cannot hold is refused", () => {
  assert.deepEqual(old.fromJSON({ oneFixed64: '1', oneSfixed64: '-1' }), { ...old.fromJSON({}), one_fixed64: Buffer.from('0100000000000000', 'hex'), one_sfixed64: Buffer.alloc(8, 255) })
  assert.throws(() => old.fromJSON({ oneInt64: '9007199254740993' }), { name: 'RangeError', message: /^M\.oneInt64: .*2\^53/ })
  assert.throws(() => old.fromJSON({ byBool: { false: 1 } }), { code: 'ERR_HYPER_VALUE', message: /^M\.byBool\["false"\]/ })
  assert.throws(() => old.fromJSON({ e: 77 }), { message: 'M.e: 77 is not a value of enum E' })
  // An unset oneof decodes to all its defaults, and a map entry without a value to null.
  assert.deepEqual(old.toJSON(old.decode(Buffer.alloc(0))), {})
  assert.deepEqual(old.toJSON(old.decode(old.encode(old.fromJSON({ oInt: 0 })))), { oInt: 0 })
  assert.deepEqual(old.toJSON({ map2: { a: null }, map6: { b: null } }), { map2: { a: '' }, map6: { b: '1970-01-01T00:00:00Z' } })
  // Numbers are decimal in 1.x, octal in protobuf.
  const text = 'message M { optional E e = 1; } enum E { A = 1; B = 010; }'
  assert.equal(compile(text).M.fromJSON({ e: 'B' }).e, 10)
  assert.equal(compile(text, { protobuf: 'standard' }).M.fromJSON({ e: 'B' }).e, 8)
})

test('an Any can hold every message of the schema and of its imports', () => {
  const include = { 'a.proto': 'syntax = "proto3"; package a; message A { int32 x_y = 1; }' }
  const text = 'package p; import "a.proto"; import "google/protobuf/any.proto"; message M { google.protobuf.Any any = 1; } message odd-name { message In-side { int32 a = 1; } }'
  for (const protobuf of ['1.x', 'standard']) {
    const { M } = compile(text, { include, protobuf })
    for (const any of [{ '@type': 'x/a.A', xY: 1 }, { '@type': 'x/p.odd-name.In-side', a: 1 }, { '@type': 'x/p.M', any: { '@type': 'y/a.A' } }]) {
      assert.deepEqual(M.toJSON(M.decode(M.encode(M.fromJSON({ any })))), { any })
    }
    assert.throws(() => M.fromJSON({ any: { '@type': 'x/google.protobuf.Duration', value: '1s' } }), { code: 'ERR_HYPER_VALUE', message: /^M\.any\["@type"\]/ })
  }
  const { M } = compile('syntax = "proto2"; import "google/protobuf/any.proto"; message M { optional google.protobuf.Any any = 1; } message R { required int32 id = 1; }', { protobuf: 'standard' })
  assert.throws(() => M.fromJSON({ any: { '@type': 'x/R' } }), { code: 'ERR_HYPER_VALUE', message: 'M.any: R.id: id is required' })
})

test("a user's message with the name of a well-known type, but other fields, is an ordinary message", () => {
  const { Timestamp, BoolValue } = compile('syntax = "proto3"; package google.protobuf; message Timestamp { string x = 1; } message BoolValue {}', { protobuf: 'standard' })
  assert.deepEqual(Timestamp.toJSON(Timestamp.fromJSON({ x: 'a' })), { x: 'a' })
  assert.deepEqual(BoolValue.toJSON(BoolValue.fromJSON({})), {})
  const mine = compile('syntax = "proto3"; message M { NullValue n = 1; } enum NullValue { NULL_VALUE = 0; OTHER = 1; }', { protobuf: 'standard' })
  assert.deepEqual(mine.M.toJSON({ n: 1 }), { n: 'OTHER' })
})

test('long texts are read in linear time', { timeout: 20000 }, () => {
  for (const text of ['9'.repeat(4e6), '0.' + '0'.repeat(4e6), '1e999999999', '1e-999999999', '0'.repeat(4e6) + '1']) {
    for (const key of ['oneInt32', 'oneInt64', 'wktDuration', 'wktTimestamp']) assert.throws(() => M.fromJSON({ [key]: text }), { code: 'ERR_HYPER_VALUE' })
  }
  assert.equal(M.fromJSON({ oneBytes: 'A'.repeat(4e6) }).one_bytes.length, 3e6)
})
