'use strict'

// Few bytes can stand for many objects, so the memory for decoding is bounded relative to the size of the input.

const test = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const path = require('node:path')
const { compile, fast } = require('../../lib/codec')
const { allow } = require('../../lib/codec/shared/budget')

const MIB = 1024 * 1024
const FIELDS = Array.from({ length: 30 }, (_, i) => `optional int32 f${i} = ${i + 1};`).join(' ')
const SCHEMA = `message L { repeated M list = 1; map<string, M> map = 2; repeated bytes blobs = 3; repeated string texts = 4; optional N n = 5; } message M { ${FIELDS} repeated N lists = 40; } message N { repeated int32 a = 1; }`
const REFUSED = { code: 'ERR_HYPER_DECODE', message: /more than 16 times its bytes/ }

const ENCODINGS = [
  ['generated', {}],
  ['interpreted', { interpret: true }],
  ['standard', { protobuf: 'standard' }]
]

/** `unit` repeated up to `size` bytes. */
const filled = (unit, size) => Buffer.alloc(Math.floor(size / unit.length) * unit.length, Buffer.from(unit))

for (const [name, options] of ENCODINGS) {
  test(`bytes that would take far more memory when decoded are refused: ${name}`, () => {
    const { L } = compile(SCHEMA, options)
    for (const unit of [[0x0a, 0], [0x1a, 0], [0x0a, 5, 0xc2, 2, 2, 8, 1]]) {
      const bytes = filled(unit, 8 * MIB)
      assert.throws(() => L.decode(bytes), REFUSED, String(unit))
      assert.throws(() => fast(L).read(bytes, 0, bytes.length), REFUSED, String(unit))
    }
  })

  test(`small payloads are accepted whatever they expand to, large ones if they expand as usual: ${name}`, () => {
    const { L } = compile(SCHEMA, options)
    assert.equal(L.decode(filled([0x0a, 0], 64 * 1024)).list.length, 32 * 1024)
    const texts = L.decode(filled([0x22, 5, 97, 98, 99, 100, 101], 8 * MIB)).texts
    assert.equal(texts.length, Math.floor(8 * MIB / 7))
    const entry = { f0: 300, f7: 70000, f13: 123456789 }
    const list = Array.from({ length: 100000 }, () => entry)
    assert.equal(L.decode(L.encode({ list })).list.length, list.length)
  })
}

test('all messages in the Anys of one toJSON share one allowance', () => {
  const { M, L } = compile(`syntax = "proto3"; import "google/protobuf/any.proto"; message M { repeated google.protobuf.Any anys = 1; } message L { repeated E list = 1; } message E { ${Array.from({ length: 60 }, (_, i) => `int32 f${i} = ${i + 1};`).join(' ')} }`, { protobuf: 'standard' })
  const value = filled([0x0a, 0], 64 * 1024)
  const any = { type_url: 'x/L', value }
  assert.equal(L.decode(value).list.length, 32 * 1024)
  assert.throws(() => M.toJSON({ anys: Array.from({ length: 8 }, () => any) }), /more than 16 times its bytes/)
  assert.equal(M.toJSON({ anys: [any] }).anys[0].list.length, 32 * 1024)
})

test('decoding for a listener stays within the memory budget, and the process survives', () => {
  const size = 8 * MIB
  const script = `
    const HyperEmitter = require(${JSON.stringify(path.join(__dirname, '../..'))})
    const emitter = new HyperEmitter(undefined, ${JSON.stringify(SCHEMA)}, { maxEventSize: ${size + 1024} })
    const { L } = emitter.messages
    emitter.registerCodec('L', { encode: (bytes) => bytes, decode: L.decode })
    let heard = 0
    emitter.on('L', () => heard++)
    emitter.status.on('warning', (error) => {
      if (error.code !== 'ERR_HYPER_DECODE' || error.cause.code !== 'ERR_HYPER_DECODE') throw error
      emitter.close().then(() => { if (heard) throw new Error('heard') })
    })
    emitter.append('L', Buffer.alloc(${size}, '0a00', 'hex'))`
  const { status, stderr } = spawnSync(process.execPath, [`--max-old-space-size=${Math.ceil(allow(size) / MIB) + 64}`, '-e', script], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
})
