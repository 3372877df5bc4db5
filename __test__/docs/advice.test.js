'use strict'

/** Options that the core's error texts name must exist in index.d.ts, with the values they name. */

const assert = require('node:assert/strict')
const { readdirSync, readFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')

const root = join(__dirname, '..', '..')
const types = readFileSync(join(root, 'index.d.ts'), 'utf8')

/** Files of the core, without those that only hold tests. */
function * sources (folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const inside = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (entry.name !== 'tests' && entry.name !== 'conformance') yield * sources(inside)
    } else if (/(?<!tests?)\.rs$/.test(entry.name)) {
      yield inside
    }
  }
}

/** Texts of more than one word in Rust code, without those of inline tests. */
function texts (code) {
  const plain = code.split('#[cfg(test)]\nmod ')[0]
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/b?'(?:\\.[^']*|[^'\\\n])'/g, '0')
  return [...plain.matchAll(/"((?:[^"\\]|\\[^])*)"/g)]
    .map(([, text]) => text.replace(/\\\n\s*/g, ''))
    .filter((text) => /\S\s+\S/.test(text))
}

/** Options and values that a text names wrongly. */
function faults (text) {
  const found = []
  for (const [, option, value] of text.matchAll(/\b(\w+): '([^']*)'/g)) {
    const declared = new RegExp(`\\b${option}\\?: ([^\\n]*)`).exec(types)
    if (!declared?.[1].includes(`'${value}'`)) found.push(`${option}: '${value}' is no option`)
  }
  for (const [, option, value] of text.matchAll(/\b(?:use|set|pass|with) ([a-z]\w*) '([^']*)'/g)) {
    found.push(`an option with its value is written ${option}: '${value}'`)
  }
  for (const [, option] of text.matchAll(/\b(?:raise|lower) (?!the\b)(\w+)/g)) {
    if (!new RegExp(`\\b${option}\\?:`).test(types)) found.push(`there is no option ${option}`)
  }
  for (const [name] of text.matchAll(/\b[a-z]+[A-Z]\w*/g)) {
    if (!new RegExp(`\\b${name}\\b`).test(types)) found.push(`index.d.ts does not know ${name}`)
  }
  return found
}

test('options and values that error texts name exist', () => {
  let named = 0
  for (const file of sources(join(root, 'src'))) {
    for (const text of texts(readFileSync(file, 'utf8'))) {
      if (/\b(?:\w+: '|raise )/.test(text)) named++
      assert.deepEqual(faults(text), [], `${file}: ${text}`)
    }
  }
  assert.ok(named >= 3, 'error texts that name options are found')
})

test('an option that does not exist, or not with this value, is found', () => {
  for (const text of ["upgrade it, or use encoding 'v1' here", "open it with protobuf: 'v1'", 'raise maxEvents', 'set maxEvents']) {
    assert.equal(faults(text).length > 0, true, text)
  }
  assert.deepEqual(faults("open it with protobuf: '1.x', or raise maxPending"), [])
})
