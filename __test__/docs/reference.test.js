'use strict'

// The public API exists in four forms, which must agree: the module itself, index.d.ts, docs/API.md and the table of errors.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const HyperEmitter = require('../..')

const root = path.join(__dirname, '../..')
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8')
const declarations = read('index.d.ts')

/** Body of an interface in index.d.ts. */
function body (name) {
  const [, indent, text] = new RegExp(`^( *)interface ${name}\\b[^\\n]*\\{\\n([^]*?)^\\1\\}`, 'm').exec(declarations)
  return text.split('\n').filter((line) => line.startsWith(`${indent}  `) && !line.startsWith(`${indent}   `)).map((line) => line.trim())
}

/** Names of the members of an interface. */
function members (name) {
  const names = body(name).map((line) => /^(?:readonly )?(\w+)\??(?: ?[:(<]| \()/.exec(line)).filter(Boolean).map(([, member]) => member)
  return [...new Set(names)].filter((member) => member !== 'new')
}

const sorted = (iterable) => [...new Set(iterable)].sort()

async function live (t) {
  const emitter = new HyperEmitter()
  t.after(() => emitter.close())
  await emitter.ready()
  await emitter.getId()
  return emitter
}

test('every declared member exists', async (t) => {
  const emitter = await live(t)
  for (const member of members('HyperEmitter')) assert.ok(member in emitter, member)
  for (const member of members('HyperEmitterConstructor')) assert.ok(member in HyperEmitter, member)
  assert.equal(typeof emitter[Symbol.asyncDispose], 'function')
  for (const member of members('Hyperlog')) assert.ok(member in emitter._hyperlog, `_hyperlog.${member}`)
})

test('every member that exists is declared', async (t) => {
  const emitter = await live(t)
  const there = [...Object.getOwnPropertyNames(HyperEmitter.prototype), ...Object.keys(emitter)]
    .filter((name) => name !== 'constructor' && !name.startsWith('_'))
  assert.deepEqual(sorted(there), members('HyperEmitter').filter((name) => !name.startsWith('_')).sort())
  const statics = Object.keys(HyperEmitter)
  assert.deepEqual(sorted(statics), members('HyperEmitterConstructor').filter((name) => name !== 'prototype').sort())
})

test('the reference has every member, and no others', () => {
  const headings = [...read('docs/API.md').matchAll(/^### (?:new HyperEmitter\(.*|(?:HyperEmitter\.)?\\?(\w+).*)$/gm)].map(([, name]) => name).filter(Boolean)
  assert.deepEqual(sorted(headings), sorted([...members('HyperEmitter'), ...members('HyperEmitterConstructor')].filter((name) => name !== 'prototype')))
})

test('the reference has every option and every status event', () => {
  const reference = read('docs/API.md')
  for (const name of ['Options', 'CompileOptions', 'ReadOptions', 'StatusEvents']) {
    for (const option of members(name)) assert.ok(reference.includes(`| \`${option}\` |`), option)
  }
})

test('the fields of stats, verify and entries are those declared', async (t) => {
  const emitter = await live(t)
  const other = new HyperEmitter()
  t.after(() => other.close())
  await emitter.append('note', 'text')
  await other.connect((await emitter.listen(0, '127.0.0.1')).port, '127.0.0.1')
  const stats = await emitter.stats()
  assert.deepEqual(sorted(Object.keys(stats)), members('Stats').sort())
  assert.deepEqual(sorted(Object.keys(stats.peers[0])), members('Peer').sort())
  assert.deepEqual(sorted(Object.keys(await emitter.verify())), members('Verified').sort())
  const known = [...members('EntryPosition'), 'name', 'payload', 'raw', 'error']
  for await (const entry of emitter.read()) for (const key of Object.keys(entry)) assert.ok(known.includes(key), key)
})

test('error codes are the same in Rust, in JavaScript, in the types and in the README', () => {
  const codes = (text) => text.match(/ERR_HYPER_[A-Z_]+/g) ?? []
  const javascript = fs.readdirSync(path.join(root, 'lib'), { recursive: true }).filter((file) => file.endsWith('.js')).flatMap((file) => codes(read(path.join('lib', file))))
  const [union] = /type ErrorCode =[^]*?\n\n/.exec(declarations)
  const [table] = /## Errors[^]*?\n## /.exec(read('README.md'))
  const thrown = sorted([...codes(read('src/error.rs')), ...javascript])
  assert.deepEqual(sorted(codes(union)), thrown)
  assert.deepEqual(sorted([...table.matchAll(/^\| `(ERR_HYPER_\w+)`/gm)].map(([, code]) => code)), thrown)
})
