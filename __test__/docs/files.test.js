'use strict'

// Documents and comments name files: all of them are there.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const root = path.join(__dirname, '../..')
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8')

/** A path from the root of the repository. */
const PATH = /(?<![\w./-])(?:lib|src|scripts|tests|bench|benches|docs|examples|fuzz|bin|proto|__test__)\/[\w./-]*\.(?:js|mjs|rs|md|ts|mts|proto|json)\b/g

/** Files of others: hyperlog 4.12.1's, and what a compiler makes. */
const ELSEWHERE = new Set(['lib/replicate.js', 'lib/protocol.js', 'examples/typescript.js', '__test__/NAME.test.js'])

/** What builds and installs make, and tests, which write sources of their own. */
const SKIPPED = ['node_modules', 'target', 'coverage', '__test__', '.git']

function * texts (folder = '.') {
  for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const inside = path.posix.join(folder, entry.name)
    if (entry.isDirectory()) {
      if (!SKIPPED.includes(entry.name)) yield * texts(inside)
    } else if (/\.(?:js|mjs|rs|md|ts|mts|toml)$/.test(entry.name)) {
      yield inside
    }
  }
}

test('every file that a document or a comment names is there', () => {
  const missing = []
  for (const file of texts()) {
    for (const [named] of read(file).matchAll(PATH)) {
      if (!ELSEWHERE.has(named) && !fs.existsSync(path.join(root, named))) missing.push(`${file}: ${named}`)
    }
  }
  assert.deepEqual(missing, [])
})
