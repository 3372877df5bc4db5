'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { compile, fast } = require('../../lib/codec')

const both = (name, work) => {
  test(name + ' (generated)', () => work({}))
  test(name + ' (interpreted)', () => work({ interpret: true }))
}

const IDENTIFIERS = ['__proto__', 'constructor', 'hasOwnProperty', "a'b", 'a`b', 'a\\b', 'a\\u0022b', '$process.exit', 'script_', 'ａ', '--', '0']

both('a field may have any name', (options) => {
  for (const name of IDENTIFIERS) {
    const { M } = compile(`message M { optional int32 ${name} = 1; repeated string list = 2; }`, options)
    const decoded = M.decode(Buffer.from([8, 5]))
    assert.deepEqual(Object.keys(decoded).sort(), [name, 'list'].sort(), name)
    assert.equal(Object.getOwnPropertyDescriptor(decoded, name).value, 5)
    assert.equal(M.encode(decoded).toString('hex'), '0805', name)
  }
  assert.equal({}.list, undefined)
})

both('a field named __proto__ never reaches a prototype', (options) => {
  const { M } = compile('message M { optional M __proto__ = 1; optional int32 a = 2; }', options)
  assert.equal(M.encode({ a: 1 }).toString('hex'), '1001')
  const decoded = M.decode(Buffer.from('0a021007', 'hex'))
  assert.equal(Object.getPrototypeOf(decoded), Object.prototype)
  assert.equal(decoded.a, 0)
})

both('a map key __proto__ never reaches a prototype', (options) => {
  for (const protobuf of ['1.x', 'standard']) {
    const { M } = compile('message M { map<string, M> m = 1; optional int32 polluted = 2; }', { ...options, protobuf })
    const bytes = Buffer.concat([Buffer.from([10, 15, 10, 9]), Buffer.from('__proto__'), Buffer.from([18, 2, 16, 1])])
    const { m } = M.decode(bytes)
    assert.equal(Object.getPrototypeOf(m), Object.prototype, protobuf)
    assert.equal({}.polluted, undefined)
  }
})

both('defaults are data', (options) => {
  for (const text of ['"\\"); process.exit(1); (\\""', '"\u2028\u2029"', '"</script>"', '"${1}`"', "'a'", '"\\u0000"']) { // eslint-disable-line no-template-curly-in-string
    const { M } = compile(`message M { string s = 1 [default = ${text}]; bytes b = 2 [default = ${text}]; int32 i = 3 [default = ${text}]; }`, options)
    assert.equal(M.decode(Buffer.alloc(0)).s, text.startsWith('"') ? JSON.parse(text) : '')
  }
})

both('hostile enums, oneofs and messages', (options) => {
  const messages = compile('enum __proto__ { __proto__ = 1; x` = 2; } message "M" { oneof "o" { int32 a = 1; int32 b = 2; } } message N { __proto__ e = 1; }', options)
  assert.deepEqual(Object.keys(messages), ['__proto__', '"M"', 'N'])
  assert.throws(() => messages['"M"'].encode({ a: 1, b: 2 }), { message: 'only one of the properties defined in oneof "o" can be set' })
  assert.equal(messages.N.encode({ e: 2 }).toString('hex'), '0802')
})

both('an enum of many values refuses its negative ones, which 1.x cannot write', (options) => {
  const many = Array.from({ length: 12 }, (_, i) => `V${i} = ${i * 50};`).join(' ')
  const { M } = compile(`enum E { ${many} BELOW = -1; } message M { optional E e = 1; repeated E list = 2; }`, options)
  const refused = { name: 'RangeError', message: 'M.e: -1 cannot be encoded as enum E' }
  assert.throws(() => M.encode({ e: -1 }), refused)
  assert.throws(() => M.encode({ list: [0, -1] }), { ...refused, message: /^M\.list.*-1 cannot be encoded as enum E$/ })
  assert.throws(() => M.encode({ e: 1 }), { message: /enum/ })
  assert.equal(M.encode({ e: 550, list: [0, 50] }).toString('hex'), '08a604' + '1000' + '1032')
})

both('a getter may encode while it is read', (options) => {
  const { M } = compile('message M { optional string a = 1; optional string b = 2; }', options)
  let inner
  const value = { a: 'outer', get b () { inner = M.encode({ a: 'inner' }); return 'b' } }
  assert.equal(M.encode(value).toString('latin1'), '\n\x05outer\x12\x01b')
  assert.equal(inner.toString('latin1'), '\n\x05inner')
})

both('values that never end are refused at once', (options) => {
  const { M } = compile('message M { repeated int32 list = 1; optional int64 n = 2; optional M m = 3; }', options)
  assert.throws(() => M.encode({ list: { length: Infinity } }), { message: 'M.list: Infinity elements are more than the 67108864 allowed' })
  assert.throws(() => M.encode({ m: { m: { n: Infinity } } }), { name: 'RangeError', message: 'M.m.m.n: Infinity cannot be encoded as int64' })
  const loop = {}
  loop.m = loop
  assert.throws(() => M.encode(loop), RangeError)
})

both('a tag that 1.x would write wrongly is refused, the largest before it is not', (options) => {
  const { L, M } = compile(`message L { optional int32 a = ${2 ** 28 - 1}; } message M { optional int32 a = ${2 ** 28}; }`, options)
  assert.deepEqual(L.decode(L.encode({ a: 7 })), { a: 7 })
  assert.throws(() => M.encode({ a: 7 }), { message: /only tags below 268435456/ })
})

both('bytes that claim too much are refused at once', (options) => {
  const { M } = compile('message M { repeated bool flags = 1 [packed = true]; repeated fixed64 raw = 2 [packed = true]; optional M m = 3; optional bytes b = 4; }', options)
  assert.throws(() => M.decode(Buffer.from('0affffffffff7f', 'hex')), /Could not decode packed bool/)
  assert.throws(() => M.decode(Buffer.from('12ffffffffff7f', 'hex')), /Could not decode packed fixed64/)
  assert.throws(() => M.decode(Buffer.from('1affffffffff7f', 'hex')), /Decoded message is not valid/)
  assert.equal(M.decode(Buffer.from('22ffffffffff7f01', 'hex')).b.length, 1)
  const length = Buffer.concat([Buffer.from([0x22]), Buffer.alloc(150, 0x80), Buffer.from([0])])
  assert.throws(() => M.decode(length), /Could not decode varint/)
  assert.throws(() => M.decode(nested(200000)), RangeError)
  assert.throws(() => compile('message M { optional M m = 3; }', { ...options, protobuf: 'standard' }).M.decode(nested(200)), /nested deeper than 100 levels/)
})

/** Messages within messages, field 3 each. */
function nested (depth) {
  const lengths = [0]
  const size = (n) => n < 128 ? 1 : n < 16384 ? 2 : n < 2097152 ? 3 : 4
  while (lengths.length < depth) lengths.push(lengths.at(-1) + 1 + size(lengths.at(-1)))
  return Buffer.concat(lengths.reverse().map((length) => {
    const bytes = [0x1a]
    for (; length > 127; length >>>= 7) bytes.push((length & 127) | 128)
    return Buffer.from([...bytes, length])
  }))
}

both('decoded bytes are views, copies in a batch', (options) => {
  const { M } = compile('message M { optional bytes b = 1; }', options)
  const { beginBatch } = require('../../lib/codec')
  const bytes = M.encode({ b: Buffer.from('abc') })
  const view = M.decode(bytes).b
  beginBatch(bytes, bytes.length)
  const copy = fast(M).read(bytes, 0, bytes.length).b
  bytes.fill(0)
  assert.equal(view.toString('hex'), '000000')
  assert.equal(copy.toString(), 'abc')
})

both('a batch gives the strings that single messages give, wherever they lie', (options) => {
  const { M } = compile('message M { optional string a = 1; optional string b = 2; }', options)
  const { beginBatch } = require('../../lib/codec')
  // Dense, sparse and dense again, with non-ASCII text in between, in batches of many sizes.
  const strings = [20, 60, 64, 13, 4085, 4, 700, 30].map((length) => 'abcdefghij'.repeat(410).slice(0, length))
  const messages = Array.from({ length: 3000 }, (_, i) => ({
    a: i + strings[(i >> 5) % 8],
    b: i % 97 === 0 ? 'größe'.repeat(i % 30) : strings[(i >> 7) % 8] + i
  }))
  for (const size of [1, 2, 3, 7, 50, 1000]) {
    for (let from = 0; from < messages.length; from += size) {
      const chosen = messages.slice(from, from + size)
      const encoded = chosen.map((message) => M.encode(message))
      const bytes = Buffer.concat(encoded)
      beginBatch(bytes, bytes.length)
      let at = 0
      for (const [i, message] of chosen.entries()) {
        const end = at + encoded[i].length
        const { a, b } = fast(M).read(bytes, at, end)
        assert.deepEqual([a, b], [message.a, message.b])
        at = end
      }
    }
  }
})

both('functions that were replaced are respected', (options) => {
  const { M } = compile('message M { optional int32 a = 1; }', options)
  assert.equal(fast(M).encoding, 0)
  M.encode = () => Buffer.from('mine')
  assert.equal(fast(M), null)
})
