'use strict'

// SECURITY.md says what attackers might want and what stops them: every row names a test that runs.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const root = path.join(__dirname, '../..')
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8')

/** Rows of the tables with three columns: section, first cell, and the tests named in the last cell. */
function rows () {
  const found = []
  let section
  for (const line of read('SECURITY.md').split('\n')) {
    if (line.startsWith('## ')) section = line.slice(3)
    const cells = line.startsWith('|') ? line.slice(1, -1).split('|').map((cell) => cell.trim()) : []
    if (cells.length !== 3 || /^---/.test(cells[0]) || cells[2].startsWith('test')) continue
    found.push({ section, threat: cells[0], tests: [...cells[2].matchAll(/`([^`]+)`/g)].map(([, named]) => named) })
  }
  return found
}

/** Whether this names a test that is run: a function marked as a test, or the title of a call of `test`. */
function isTest (named) {
  const [file, title] = named.split(/: (.*)/)
  const text = read(file)
  if (file.endsWith('.rs')) return new RegExp(`#\\[(?:tokio::)?test(?:\\([^)]*\\))?\\]\\n\\s*(?:async )?fn ${title}\\(`).test(text)
  return text.split('\n').some((line) => /^\s*(?:test|it)\(/.test(line) && line.includes(title))
}

test('every row of a table of threats names tests that run', () => {
  const all = rows()
  for (const section of ['What strangers can do', 'Links with an identity']) assert.ok(all.some((row) => row.section === section), section)
  assert.ok(all.length >= 40, `${all.length} rows`)
  const wrong = all.flatMap(({ threat, tests }) => tests.length === 0 ? [`${threat}: no test`] : tests.filter((named) => !isTest(named)).map((named) => `${threat}: ${named}`))
  // Some remaining risks cannot be demonstrated by a test.
  const possible = all.filter(({ tests }) => tests.length === 0).map(({ threat }) => threat)
  assert.deepEqual(wrong.filter((each) => !possible.some((threat) => each === `${threat}: no test`)), [])
  assert.deepEqual(possible.filter((threat) => !read('SECURITY.md').split('What remains possible')[1].includes(threat)), [])
})
