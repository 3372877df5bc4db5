'use strict'

// The check for import cycles (scripts/imports.js) finds them.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')

const { cycles, javascript, rust } = require('../scripts/imports')

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

test('the files of lib import each other without a cycle', () => {
  const graph = javascript(path.join(__dirname, '..'))
  assert.ok(graph.get('lib/emitter.js').includes('lib/errors.js'))
  assert.deepEqual(cycles(graph), [])
})

test('a cycle of JavaScript is found, also through an index.js and a late require', (t) => {
  const root = plant(t, {
    'lib/a.js': "const b = require('./b')",
    'lib/b.js': "function late () { return require('./codec') }",
    'lib/codec/index.js': "const { a } = require('../a.js'); const leaf = require('./leaf')",
    'lib/codec/leaf.js': "const fs = require('node:fs')",
    'lib/self.js': "require('./self')"
  })
  assert.deepEqual(cycles(javascript(root)), [['lib/a.js', 'lib/b.js', 'lib/codec/index.js'], ['lib/self.js']])
})

test('files that import the same files are not a cycle', (t) => {
  const root = plant(t, {
    'lib/a.js': "require('./b'); require('./c')",
    'lib/b.js': "require('./c'); require('../package.json')",
    'lib/c.js': ''
  })
  assert.deepEqual(cycles(javascript(root)), [])
})

test('every export is used by another file', () => {
  const root = path.join(__dirname, '..')
  const folders = ['lib', 'bin', 'scripts', 'bench', '__test__']
  const files = folders.flatMap((folder) => fs.readdirSync(path.join(root, folder), { recursive: true }).map((file) => path.join(folder, file)))
    .filter((file) => file.endsWith('.js') && !/node_modules|coverage/.test(file))
  const texts = new Map(files.map((file) => [file, fs.readFileSync(path.join(root, file), 'utf8')]))
  const unused = []
  for (const [file, text] of texts) {
    const [, list] = /^module\.exports = \{([^}]*)\}\s*$/m.exec(text) ?? []
    // The layout as a whole is compared with the native half's.
    if (!file.startsWith('lib') || file.endsWith('layout.js') || list === undefined) continue
    for (const [, name] of list.replace(/\/\/.*|\/\*[^]*?\*\//g, '').matchAll(/(?:^|,)\s*(\w+)/g)) {
      const used = new RegExp(`\\b${name}\\b`)
      if (![...texts].some(([other, text]) => other !== file && used.test(text))) unused.push(`${file}: ${name}`)
    }
  }
  assert.deepEqual(unused, [])
})

test('the files of src import each other without a cycle, except parent and child modules', () => {
  const graph = rust(path.join(__dirname, '..'))
  assert.ok(graph.get('src/hyperlog/commit_pipeline.rs').includes('src/hyperlog/committer.rs'))
  assert.deepEqual(cycles(graph), [])
})

test('a cycle in Rust is found, even through re-exported names, nested imports and inline paths', (t) => {
  const root = plant(t, {
    'src/lib.rs': 'pub mod a;\npub mod b;\nmod tree;',
    'src/a.rs': '//! use crate::tree::Leaf;\nuse std::fmt;\nuse crate::{b::B};\npub struct A;',
    'src/b.rs': 'pub struct B(crate::tree::A);',
    'src/tree/mod.rs': 'mod leaf;\npub use self::leaf::{Leaf, one::One as A};',
    'src/tree/leaf/mod.rs': 'pub mod one;\npub struct Leaf;',
    'src/tree/leaf/one.rs': 'use super::super::super::a::A;\npub type One = A;'
  })
  assert.deepEqual(cycles(rust(root)), [['src/a.rs', 'src/b.rs', 'src/tree/leaf/one.rs']])
})

test('parent and child modules, and tests, may know each other', (t) => {
  const root = plant(t, {
    'src/lib.rs': 'mod a;\npub struct Whole(a::A);',
    'src/a.rs': 'use crate::Whole;\nmod part;\n#[cfg(test)]\nmod tests;\npub struct A(part::Part);',
    'src/a/part.rs': 'use super::A;\n\n#[cfg(test)]\nmod tests {\n    use super::super::super::other;\n}',
    'src/a/tests.rs': 'use super::part::Part;'
  })
  const graph = rust(root)
  assert.deepEqual([graph.has('src/a/tests.rs'), cycles(graph)], [false, []])
})
