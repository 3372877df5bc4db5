'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const path = require('node:path')
const { replay, REFUSED, schemas } = require('./support/vectors')
const { compile } = require('../../lib/codec')

test('generated code does what protocol-buffers 3.2.1 did', () => {
  assert.ok(replay({}) > 1000)
})

test('the interpreter does what protocol-buffers 3.2.1 did', () => {
  assert.ok(replay({ interpret: true }) > 1000)
})

test('codecs do what protocol-buffers 3.2.1 did where generating code is forbidden', () => {
  const script = `require(${JSON.stringify(path.join(__dirname, 'support/vectors'))}).replay({})`
  const { status, stderr } = spawnSync(process.execPath, ['--disallow-code-generation-from-strings', '-e', script], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
})

test('schemas that only 2.x refuses are reported with line, column and cause', () => {
  for (const { proto } of schemas.filter(({ name }) => REFUSED.has(name))) {
    assert.throws(() => compile(proto), { code: 'ERR_HYPER_SCHEMA', message: /^1:\d+: (tag .* is not a whole number from 1 to 536870911|fields a and b of message M share tag 1|field a is declared twice in message M|map m cannot be keyed by K: use)/ })
  }
})

test('blank schemas are refused with the text of 1.x', () => {
  for (const text of ['', ' ', '// nothing', Buffer.alloc(0)]) assert.throws(() => compile(text), { message: 'Unexpected token: ' })
})
