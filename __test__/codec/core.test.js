'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const text = require('../../lib/codec/core')

const root = path.join(__dirname, '..', '..')

test('the built-in messages are the same as in proto/codecs.proto', () => {
  assert.equal(text, fs.readFileSync(path.join(root, 'proto/codecs.proto'), 'utf8'))
})

test('codecs read no file, because a bundled program has none next to it', () => {
  for (const name of fs.readdirSync(path.join(root, 'lib/codec'), { recursive: true })) {
    if (!name.endsWith('.js')) continue
    assert.doesNotMatch(fs.readFileSync(path.join(root, 'lib/codec', name), 'utf8'), /require\('(node:)?fs'\)/, name)
  }
})
