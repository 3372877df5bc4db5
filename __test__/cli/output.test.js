'use strict'

const assert = require('node:assert/strict')
const { PassThrough, Writable } = require('node:stream')
const { test } = require('node:test')
const { Output } = require('../../lib/cli/output')

test('small writes are combined into few large ones', async () => {
  const chunks = []
  const output = new Output(new Writable({ write (chunk, encoding, done) { chunks.push(String(chunk)); done() } }))
  for (let i = 0; i < 1000; i++) assert.equal(output.write(`${i}\n`), undefined)
  await output.flush()
  assert.equal(chunks.length, 1)
  assert.equal(chunks[0].split('\n').length, 1001)
})

test('written text appears without a flush', async () => {
  const stream = new PassThrough()
  new Output(stream).write('x')
  assert.equal(String(await new Promise((resolve) => stream.once('data', resolve))), 'x')
})

test('a slow reader holds the writer back', async () => {
  let release
  const output = new Output(new Writable({ highWaterMark: 1, write (chunk, encoding, done) { release = done } }))
  const wait = output.write('x'.repeat(100000))
  assert.ok(wait instanceof Promise)
  let waited = false
  wait.then(() => { waited = true })
  await new Promise(setImmediate)
  assert.equal(waited, false)
  release()
  await wait
})

test('the next write after the reader has gone fails with an error that says so', async () => {
  const stream = new Writable({ write (chunk, encoding, done) { done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })) } })
  const output = new Output(stream)
  output.write('x')
  await assert.rejects(output.flush(), { exitCode: 0, message: /went away/ })
  await assert.rejects(output.broken, { exitCode: 0 })
})

test('any other failure of the stream is an error', async () => {
  const output = new Output(new Writable({ write (chunk, encoding, done) { done(Object.assign(new Error('no space left'), { code: 'ENOSPC' })) } }))
  output.write('x')
  await assert.rejects(output.flush(), /no space left/)
})
