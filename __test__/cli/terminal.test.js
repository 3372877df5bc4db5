'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { stripVTControlCharacters } = require('node:util')
const { count, duration, perSecond, size, table } = require('../../lib/cli/format')
const { line, progress } = require('../../lib/cli/progress')
const { hasColours, painter } = require('../../lib/cli/terminal')

/** A stream that remembers; a terminal if `columns` is given. */
function screen (columns) {
  return { isTTY: columns !== undefined, columns, hasColors: (env) => env.TERM !== 'dumb', text: '', write (text) { this.text += text } }
}

test('colours are for terminals only, and NO_COLOR forbids them', () => {
  assert.equal(hasColours(screen(80), {}), true)
  assert.equal(hasColours(screen(), {}), false)
  assert.equal(hasColours(screen(80), { TERM: 'dumb' }), false)
  assert.equal(hasColours(screen(80), { NO_COLOR: '1' }), false)
  assert.equal(hasColours(screen(80), { NO_COLOR: '' }), true)
  assert.equal(hasColours(screen(), { FORCE_COLOR: '1' }), true)
  assert.equal(hasColours(screen(80), { FORCE_COLOR: '0' }), false)
  assert.equal(painter(screen(), {})('red', 'x'), 'x')
  assert.equal(stripVTControlCharacters(painter(screen(80), {})('red', 'x')), 'x')
  assert.notEqual(painter(screen(80), {})('red', 'x'), 'x')
})

test('numbers, sizes and durations are written for people', () => {
  assert.equal(count(1234567), '1,234,567')
  assert.deepEqual([0, 1023, 1536, 123456789].map(size), ['0 B', '1023 B', '1.5 KiB', '118 MiB'])
  assert.deepEqual([0.5, 12, 999.6, 12345, 2.5e6].map(perSecond), ['0.5/s', '12/s', '1.0k/s', '12.3k/s', '2.50M/s'])
  assert.deepEqual([0, 59.6, 3600, 86399].map(duration), ['0:00', '1:00', '1:00:00', '23:59:59'])
  assert.equal(table([['a', 5, 'x'], ['bcd', 1000, '']]), 'a        5  x\nbcd  1,000\n')
})

test('a line of progress has a bar, the rate and the time left, and fits', () => {
  const state = { label: 'copying', done: 500, total: 1000, seconds: 10, width: 79 }
  assert.equal(line(state), 'copying [###############---------------]  50% 500/1,000 50/s 0:10 left')
  for (let width = 1; width < 120; width++) assert.ok(line({ ...state, width }).length <= width)
  assert.equal(line({ ...state, done: 1000 }).includes('left'), false)
  assert.equal(line({ label: 'reading', done: 2048, seconds: 2, width: 79, format: size }), 'reading 2.0 KiB 1.0k/s')
})

test('progress is drawn on a terminal, not too often, and removed at the end', () => {
  let at = 0
  const stream = screen(60)
  const bar = progress({ stream, label: 'copying', now: () => at })
  bar.update(1, 100)
  assert.equal(stream.text, '', 'short work shows nothing')
  for (at = 1; at <= 1000; at++) bar.update(at / 10, 100)
  const drawn = stream.text.split('\r').length - 1
  assert.ok(drawn >= 5 && drawn <= 10, `${drawn} times in a second`)
  bar.end()
  assert.ok(stream.text.endsWith('\r\x1b[K'))
})

test('progress writes nothing to a pipe', () => {
  const stream = screen()
  const bar = progress({ stream, label: 'copying' })
  bar.update(1, 2)
  bar.end()
  assert.equal(stream.text, '')
})
