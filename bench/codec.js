'use strict'

// node bench/codec.js: compares encoding and decoding with protocol-buffers 3.2.1 (which 1.x used), protocol-buffers 5.0.0 and
// protobufjs 8. All run in one process, in turn; the figures are medians of the rounds. Ratios are their time over ours: how
// many times faster we are. Options: --rounds N, --json FILE.

const fs = require('node:fs')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { compile, fast, beginBatch } = require('../lib/codec')

process.noDeprecation = true
const modules = path.join(__dirname, 'node_modules')
const old = require(path.join(modules, 'protocol-buffers-3'))
const newer = require(path.join(modules, 'protocol-buffers-5'))
const protobufjs = require(path.join(modules, 'protobufjs'))

const { values: args } = parseArgs({ options: { rounds: { type: 'string', default: '7' }, json: { type: 'string' } } })

const SHAPES = [
  {
    name: '4 scalars',
    schema: 'message M { required int32 id = 1; required string username = 2; optional double score = 3; optional int64 time = 4; }',
    value: { id: 123456, username: 'matteo.collina_1', score: 99.5, time: 1700000000000 }
  },
  {
    name: '12 mixed fields, nested',
    schema: `message M {
      required string id = 1; required int64 time = 2; optional double price = 3; optional bool paid = 4; optional uint32 quantity = 5;
      optional sint32 delta = 6; repeated string tags = 7; optional Address address = 8; repeated Item items = 9; optional float weight = 10;
      optional fixed32 checksum = 11; optional bytes token = 12;
      message Address { optional string street = 1; optional string city = 2; optional int32 zip = 3; }
      message Item { required string sku = 1; required int32 count = 2; optional double price = 3; }
    }`,
    value: {
      id: 'order-2024-000123',
      time: 1700000000000,
      price: 199.95,
      paid: true,
      quantity: 3,
      delta: -12,
      tags: ['express', 'gift', 'fragile'],
      address: { street: 'Via Roma 1', city: 'Bologna', zip: 40121 },
      items: [{ sku: 'AB-1234', count: 2, price: 49.99 }, { sku: 'CD-5678', count: 1, price: 99.97 }, { sku: 'EF-9012', count: 5, price: 1.5 }],
      weight: 2.5,
      checksum: 3735928559,
      token: Buffer.from('00112233445566778899aabbccddeeff', 'hex')
    }
  },
  {
    name: '4 KB of bytes',
    schema: 'message M { required string name = 1; required bytes payload = 2; }',
    value: { name: 'blob', payload: Buffer.alloc(4096, 7) }
  }
]

/** Nanoseconds of processor time per call of `work(times)`. Processor time depends less on the load of the machine. */
function time (work, times) {
  const start = process.cpuUsage()
  work(times)
  const { user, system } = process.cpuUsage(start)
  return (user + system) * 1000 / times
}

/** Results go here, so that no work is optimised away. */
const sink = { last: null }

function encoders (encode, value) {
  return (times) => { for (let i = 0; i < times; i++) sink.last = encode(value) }
}

function contestants ({ schema, value }) {
  const ours = compile(schema).M
  const pair = fast(ours)
  const ancient = old(schema).M
  const recent = newer(schema).M
  const js = protobufjs.parse(schema, { keepCase: true }).root.lookupType('M')
  const bytes = ours.encode(value)
  const target = Buffer.alloc(64 * 1024)
  const batch = Buffer.concat(Array(Math.max(1, Math.floor(4096 / bytes.length))).fill(bytes))
  return {
    encode: {
      ours: encoders(ours.encode, value),
      'protocol-buffers 3.2.1': encoders(ancient.encode, value),
      'protocol-buffers 5.0.0': encoders(recent.encode, value),
      'protobufjs 8': encoders((v) => js.encode(v).finish(), value)
    },
    emit: {
      ours (times) {
        let at = 0
        for (let i = 0; i < times; i++) {
          const end = pair.write(value, target, at)
          at = end === -1 ? 0 : end
        }
        sink.last = at
      }
    },
    decode: {
      ours: encoders(ours.decode, bytes),
      'protocol-buffers 3.2.1': encoders(ancient.decode, bytes),
      'protocol-buffers 5.0.0': encoders(recent.decode, bytes),
      'protobufjs 8': encoders((b) => js.decode(b), bytes)
    },
    batch: {
      ours (times) {
        for (let done = 0; done < times;) {
          beginBatch(batch, batch.length)
          for (let at = 0; at < batch.length && done < times; at += bytes.length, done++) sink.last = pair.read(batch, at, at + bytes.length)
        }
      }
    }
  }
}

const median = (list) => list.slice().sort((a, b) => a - b)[list.length >> 1]

function measure (shape) {
  const all = contestants(shape)
  const samples = {}
  for (let round = 0; round <= Number(args.rounds); round++) {
    for (const [kind, group] of Object.entries(all)) {
      for (const [name, work] of Object.entries(group)) {
        const ns = time(work, round === 0 ? 200000 : 100000)
        // The first round warms up.
        if (round > 0) ((samples[kind] ||= {})[name] ||= []).push(ns)
      }
    }
  }
  const result = {}
  for (const [kind, group] of Object.entries(samples)) {
    result[kind] = Object.fromEntries(Object.entries(group).map(([name, list]) => [name, median(list)]))
  }
  return result
}

function report (shape, result) {
  console.log(`\n${shape.name}`)
  for (const [kind, against] of [['encode', 'encode'], ['emit', 'encode'], ['decode', 'decode'], ['batch', 'decode']]) {
    const ours = result[kind].ours
    const ratios = Object.entries(result[against]).filter(([name]) => name !== 'ours').map(([name, ns]) => `${(ns / ours).toFixed(2)}x ${name}`)
    console.log(`  ${kind.padEnd(7)} ${ours.toFixed(0).padStart(5)} ns   ${ratios.join('   ')}`)
  }
}

const results = {}
for (const shape of SHAPES) {
  results[shape.name] = measure(shape)
  report(shape, results[shape.name])
}
if (args.json) fs.writeFileSync(args.json, JSON.stringify({ node: process.version, results }, null, 2) + '\n')
