'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { EventEmitter } = require('node:events')
const { test } = require('node:test')
const HyperEmitter = require('../..')
const { Context } = require('../../lib/cli/context')

/** A process with a terminal that remembers what is written to it. */
function terminalProcess () {
  const screen = Object.assign(new EventEmitter(), { isTTY: true, columns: 80, hasColors: () => false, text: '', write (text, done) { this.text += text; done?.() } })
  return Object.assign(new EventEmitter(), { env: {}, stdin: screen, stdout: screen, stderr: screen })
}

test('opening a store that takes a while shows its progress', async (t) => {
  const db = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'hypem-')), 'db')
  t.after(() => fs.rmSync(path.dirname(db), { recursive: true }))
  const first = new HyperEmitter(db)
  for (let i = 0; i < 3; i++) await first.append('big', Buffer.alloc(3e6))
  await first.close()
  // Opening then rebuilds it from the log.
  fs.rmSync(path.join(db, 'index'), { recursive: true })
  // Short openings show no bar, so here the clock advances by a second each time it is read.
  let seconds = 0
  t.mock.method(performance, 'now', () => ++seconds * 1000)
  const proc = terminalProcess()
  const context = new Context(proc)
  await context.open(db, null)
  await context.close()
  assert.match(proc.stderr.text, /opening \[#*-*\] +\d+% \d[\d.]* MiB\/\d[\d.]* MiB/)
  assert.ok(proc.stderr.text.endsWith('\r\x1b[K'), 'gone at the end')
})
