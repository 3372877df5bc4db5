'use strict'

/** Foreign text: which parts of it must not reach a terminal. */

const assert = require('node:assert/strict')
const { readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const HyperEmitter = require('../..')
const { forDot, forJson, forTerminal, shown } = require('../../lib/cli/escape')
const { describe } = require('../../lib/cli/exit')
const { hypem, scratch } = require('./helpers')
const { stranger } = require('./stranger')

/** A character of each kind that controls a terminal or is invisible on it. */
const EVIL = '\x00\x07\x1b[2J\x1b]0;title\x07\x7f\x85\x9b31m\u00ad\u061c\u200b\u200e\u202e\u2028\u2029\u2066\ufeff\ufffe\u{e0041}'

/** The characters that whole outputs must not contain (newlines are allowed). */
const ACTS = /(?![\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{NChar}]/u // eslint-disable-line no-misleading-character-class

const NAMES = [`evil${EVIL}`, 'first\nsecond\r\nthird\tfourth', 'quote"back\\slash\\n', '&#27;&amp;<b>', '%s %o %d', '__proto__x']

/** A store with all of these in names and payloads, and with an event whose time is beyond the range of Date. */
async function evilStore (t) {
  const dir = scratch(t)
  const db = join(dir, 'db')
  writeFileSync(join(dir, 'evil.proto'), 'message Evil { optional string text = 1; map<string, string> others = 2; }')
  const hyper = new HyperEmitter(db, readFileSync(join(dir, 'evil.proto')))
  for (const name of NAMES) await hyper.append(name, Buffer.from(EVIL))
  await hyper.append('Evil', { text: EVIL, others: { [EVIL]: EVIL } })
  await hyper.close()
  return { dir, db, schema: join(dir, 'evil.proto') }
}

function harmless (text, what) {
  const found = ACTS.exec(text)
  assert.equal(found && JSON.stringify(text.slice(Math.max(0, found.index - 40), found.index + 20)), null, what)
}

test('invisible characters of a text are escaped, and visible ones are unchanged', () => {
  harmless(forTerminal(EVIL))
  harmless(forDot(EVIL))
  harmless(forJson(EVIL))
  harmless(shown({ [EVIL]: EVIL, error: new Error(EVIL) }))
  harmless(describe(new Error(EVIL)))
  for (const text of ['ünïcode 🦀 日本', '👩‍👧', 'می‌خواهم', 'e\u0301', 'C:\\temp']) assert.equal(forTerminal(text), text)
  assert.equal(forTerminal('\x1b\n\ud800'), '\\u001b\\n\\ud800')
  assert.equal(forTerminal('\u{e0041}'), '\\udb40\\udc41')
})

test('JSON with escapes has the same value', () => {
  for (const value of [EVIL, { [EVIL]: [EVIL] }, '\ud800', { a: 1 }]) {
    for (const indent of [undefined, 2]) assert.deepEqual(JSON.parse(forJson(value, indent)), value)
  }
  assert.equal(forJson({ a: [1] }, 2), JSON.stringify({ a: [1] }, null, 2))
})

test('colours that inspect adds are kept, and escape sequences in values have no effect', () => {
  assert.equal(shown(1, { colors: true }), '\x1b[33m1\x1b[39m')
  harmless(shown('\x1b[31m\x9b', { colors: true }).replace(/\x1b\[3[29]m/g, '')) // eslint-disable-line no-control-regex
})

test('no command prints text of others unescaped', async (t) => {
  const { dir, db, schema } = await evilStore(t)
  for (const args of [['log', db], ['log', db, '--schema', schema], ['log', db, '--json', '--schema', schema], ['stats', db], ['stats', db, '--json'],
    ['graph', db], ['graph', db, '--json'], ['export', db, '--schema', schema], ['export', db, '--full'], ['verify', db],
    [schema, '--no-repl', '--from-scratch', '--db', db]]) {
    const { code, stdout, stderr } = await hypem(t, args)
    assert.deepEqual([code, stderr], [0, ''], args.join(' '))
    harmless(stdout, args.join(' '))
  }
  const lines = (await hypem(t, ['log', db])).stdout.trimEnd().split('\n')
  assert.equal(lines.length, NAMES.length + 1, 'one event, one line')
  const exported = (await hypem(t, ['export', db])).stdout.trimEnd().split('\n').map((line) => JSON.parse(line).name)
  assert.deepEqual(exported, [...NAMES, 'Evil'])
  const svg = join(dir, 'dag.svg')
  assert.equal((await hypem(t, ['graph', db, '--out', svg])).code, 0)
  const drawn = readFileSync(svg, 'utf8')
  harmless(drawn)
  assert.doesNotMatch(drawn, /&(?!(amp|lt|gt|quot|apos|#45|#160);)/, 'no entity but the predefined ones, and dashes')
  assert.match(drawn, /&amp;#27;&amp;amp;&lt;b&gt;/)
})

test('messages that quote text of others are one escaped line', async (t) => {
  const { dir, schema } = await evilStore(t)
  const wrong = await hypem(t, [schema, '--no-repl'], { input: JSON.stringify({ name: 'Evil', payload: EVIL }) + `\n${EVIL}\n` })
  harmless(wrong.stderr)
  assert.deepEqual(wrong.stderr.match(/^hypem: line \d/gm)?.length, wrong.stderr.trimEnd().split('\n').length)
  for (const args of [['stats', join(dir, `none${EVIL.replace('\0', '')}`)], ['nosuch\x1b[2J'], ['help', '\x1b[2J']]) {
    const { code, stderr, stdout } = await hypem(t, args)
    assert.notEqual(code, 0)
    harmless(stderr)
    harmless(stdout)
  }
})

test('the prompt prints hostile events escaped, even if their names contain printf\'s directives', async (t) => {
  const { db, dir } = await evilStore(t)
  writeFileSync(join(dir, 'more.proto'), 'message Evil { optional string text = 1; }')
  const { stdout, code } = await hypem(t, [join(dir, 'more.proto'), '--db', db, '--from-scratch'])
  assert.equal(code, 0)
  assert.match(stdout, /Evil \{/)
  harmless(stdout)
})

test('every command works on an event whose time is 2^64 - 1, in a log with a hostile id, and prints it escaped', async (t) => {
  const dir = scratch(t)
  const db = join(dir, 'db')
  const log = `log${EVIL}\n`
  const port = await stranger(t, { log, name: 'x', time: 2n ** 64n - 1n })
  const hyper = new HyperEmitter(db, null)
  const arrived = (async () => {
    return (await hyper.read({ live: true }).next()).value
  })()
  await hyper.connect(port, '127.0.0.1')
  assert.equal((await arrived).log, log)
  await hyper.append('y', Buffer.from('y'))
  await hyper.close()
  for (const args of [['log'], ['log', '--json'], ['stats'], ['stats', '--json'], ['graph'], ['graph', '--json'], ['graph', '--format', 'svg'],
    ['export', '--full'], ['verify'], ['log', '--after', '1h'], ['log', '--origin', 'log']]) {
    const { code, stdout, stderr } = await hypem(t, [args[0], db, ...args.slice(1)])
    assert.deepEqual([code, stderr], [0, ''], args.join(' '))
    harmless(stdout, args.join(' '))
  }
  const [first, second] = (await hypem(t, ['log', db, '--json'])).stdout.trim().split('\n').map((line) => JSON.parse(line))
  assert.deepEqual([first.log, first.time], [log, String(2 ** 64)], 'the number itself')
  const stats = JSON.parse((await hypem(t, ['stats', db, '--json'])).stdout)
  assert.deepEqual([stats.first, stats.last], [second.time, first.time])
})
