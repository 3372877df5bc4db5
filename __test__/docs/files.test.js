'use strict'

// All files that documents and comments name must exist.

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

/** Folders that builds and installs create, and tests, which write sources of their own. */
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

test('every file that a document or a comment names exists', () => {
  const missing = []
  for (const file of texts()) {
    for (const [named] of read(file).matchAll(PATH)) {
      if (!ELSEWHERE.has(named) && !fs.existsSync(path.join(root, named))) missing.push(`${file}: ${named}`)
    }
  }
  assert.deepEqual(missing, [])
})

/** Words in backticks. */
const quoted = (text) => [...text.matchAll(/`([^`]+)`/g)].map(([, word]) => word)

const isPath = (word) => /^[\w./-]+$/.test(word) && word.includes('/')

for (const document of ['docs/ARCHITECTURE.md', 'CONTRIBUTING.md']) {
  test(`${document} names files and folders that exist`, () => {
    const missing = quoted(read(document)).filter((word) => isPath(word) && !fs.existsSync(path.join(root, word)))
      .filter((word) => !ELSEWHERE.has(word))
    assert.deepEqual(missing, [])
  })

  test(`${document} names functions in the files that contain them`, () => {
    // A row of a table with files in one cell, and what to look for there in the next two.
    const rows = read(document).split('\n').filter((line) => line.startsWith('|')).map((line) => line.split('|').map(quoted))
    const wrong = []
    let checked = 0
    for (const cells of rows) {
      const at = cells.findIndex((words) => words.some((word) => /^(?:lib|src)\/.*\.(?:js|rs)$/.test(word)))
      const names = (cells[at + 1] ?? []).filter((word) => /^\w+$/.test(word))
      if (at < 0 || names.length === 0) continue
      const texts = cells[at].filter((word) => fs.existsSync(path.join(root, word)) && /\.\w+$/.test(word)).map(read)
      for (const name of names) {
        checked++
        if (!texts.some((text) => new RegExp(`\\b${name}\\b`).test(text))) wrong.push(`${cells[at].join(' ')}: ${name}`)
      }
    }
    assert.ok(checked >= 10, `${checked} functions`)
    assert.deepEqual(wrong, [])
  })
}
