'use strict'

/** hypem keygen, hypem key, and sessions that are secured by them. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { hypem, scratch } = require('./helpers')

test('keygen makes a key that only its owner may read, and never overwrites one', async (t) => {
  const file = path.join(scratch(t), 'node.key')
  const made = await hypem(t, ['keygen', file])
  assert.deepEqual([made.code, made.stderr], [0, ''])
  assert.match(made.stdout, /^ed25519-[a-z2-7]{52}\n$/)
  if (process.platform !== 'win32') assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  assert.equal((await hypem(t, ['key', file])).stdout, made.stdout)
  const before = fs.readFileSync(file, 'utf8')
  const again = await hypem(t, ['keygen', file])
  assert.equal(again.code, 1)
  assert.match(again.stderr, /already exists/)
  assert.equal(fs.readFileSync(file, 'utf8'), before)
})

test('keygen --secret makes the secret of a group', async (t) => {
  const file = path.join(scratch(t), 'secret')
  const made = await hypem(t, ['keygen', '--secret', file])
  assert.deepEqual([made.code, made.stdout], [0, ''])
  assert.match(fs.readFileSync(file, 'utf8'), /^[0-9a-f]{64}\n$/)
})

test('key says what is wrong with a file', async (t) => {
  const file = path.join(scratch(t), 'none')
  fs.writeFileSync(file, 'nothing')
  const { code, stderr } = await hypem(t, ['key', file])
  assert.equal(code, 1)
  assert.match(stderr, /no private key/)
})
