'use strict'

// Compares random cases with other implementations. FUZZ_CASES=1000000 runs the long form, FUZZ_SEED sets the seed.

const test = require('node:test')
const assert = require('node:assert/strict')
const { createRequire } = require('node:module')
const path = require('node:path')
const { compile } = require('../../lib/codec')

const from = (folder) => createRequire(path.join(__dirname, '..', folder, 'package.json'))
const seed = Number(process.env.FUZZ_SEED || 1)
const cases = Number(process.env.FUZZ_CASES || 6000)

test('random schemas, values and bytes beside protocol-buffers 3.2.1', (t) => {
  // It uses `new Buffer`.
  process.noDeprecation = true
  const original = from('oracle')('protocol-buffers')
  const count = require('./support/differential').run({ seed, cases, original, compile: (text, interpret) => compile(text, { interpret }) })
  t.diagnostic(JSON.stringify(count))
  assert.ok(count.cases >= cases && count.encodes > cases / 20)
})

test('random messages in standard encoding beside protobufjs', (t) => {
  const protobufjs = from('protobuf')('protobufjs')
  const count = require('./support/standard').run({ seed, cases: Math.ceil(cases / 6), protobufjs, compile })
  t.diagnostic(JSON.stringify(count))
})
