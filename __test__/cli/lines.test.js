'use strict'

const assert = require('node:assert/strict')
const { Readable } = require('node:stream')
const { test } = require('node:test')
const { lines } = require('../../lib/cli/lines')

/** The lines of `bytes` when they come in pieces of `size`. */
async function split (bytes, size, options) {
  const pieces = []
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
  const all = []
  for await (const group of lines(Readable.from(pieces), options)) all.push(...group)
  return all
}

test('lines are the same, whatever pieces the input comes in', async () => {
  const bytes = Buffer.from('one\r\n\nzwölf 🦀\nlast')
  for (let size = 1; size <= bytes.length; size++) {
    const all = await split(bytes, size)
    assert.deepEqual(all.map(({ number, text }) => [number, text]), [[1, 'one'], [2, ''], [3, 'zwölf 🦀'], [4, 'last']])
    assert.equal(all[3].end, bytes.length)
  }
})

test('a final newline adds no further line, and an empty input has no lines', async () => {
  assert.deepEqual((await split(Buffer.from('a\n'), 9)).map(({ text }) => text), ['a'])
  assert.deepEqual(await split(Buffer.alloc(0), 9), [])
})

test('a byte order mark is not part of the first line', async () => {
  assert.equal((await split(Buffer.from('\ufeffa\n\ufeffb'), 99))[0].text, 'a')
})

test('a line that is not UTF-8 is reported, and the other lines are read', async () => {
  const bytes = Buffer.concat([Buffer.from('a\n'), Buffer.from([0xff, 0xfe, 0x0a]), Buffer.from('b\n')])
  assert.deepEqual((await split(bytes, 2)).map(({ text, fault }) => text ?? fault), ['a', 'not UTF-8', 'b'])
})

test('a line that is too long is reported and not held in memory, and the other lines are read', async () => {
  const bytes = Buffer.from(`a\n${'x'.repeat(50)}\nb\n${'y'.repeat(50)}`)
  for (const size of [1, 7, 100]) {
    const all = await split(bytes, size, { maxLine: 20 })
    assert.deepEqual(all.map(({ text, fault }) => text ?? fault), ['a', 'longer than 20 bytes', 'b', 'longer than 20 bytes'])
  }
})
