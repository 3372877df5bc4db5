'use strict'

// The check that no file imports itself in the end (scripts/imports.js) finds what it looks for.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')

const { circles, javascript } = require('../scripts/imports')

/** A repository of these files, gone after the test. */
function plant (t, files) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-imports-'))
  t.after(() => fs.rmSync(root, { recursive: true }))
  for (const [file, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true })
    fs.writeFileSync(path.join(root, file), text)
  }
  return root
}

test('the files of lib import each other without a circle', () => {
  const graph = javascript(path.join(__dirname, '..'))
  assert.ok(graph.get('lib/emitter.js').includes('lib/errors.js'))
  assert.deepEqual(circles(graph), [])
})

test('a circle of JavaScript is found, also through an index.js and a late require', (t) => {
  const root = plant(t, {
    'lib/a.js': "const b = require('./b')",
    'lib/b.js': "function late () { return require('./codec') }",
    'lib/codec/index.js': "const { a } = require('../a.js'); const leaf = require('./leaf')",
    'lib/codec/leaf.js': "const fs = require('node:fs')",
    'lib/self.js': "require('./self')"
  })
  assert.deepEqual(circles(javascript(root)), [['lib/a.js', 'lib/b.js', 'lib/codec/index.js'], ['lib/self.js']])
})

test('files that share what they import are no circle', (t) => {
  const root = plant(t, {
    'lib/a.js': "require('./b'); require('./c')",
    'lib/b.js': "require('./c'); require('../package.json')",
    'lib/c.js': ''
  })
  assert.deepEqual(circles(javascript(root)), [])
})
