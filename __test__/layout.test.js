'use strict'

/** Both halves use the same layout for the bytes that they exchange. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const native = require('../lib/native/addon')
const layout = require('../lib/native/layout')
const { unpackGet, unpackRanges, unpackBatch, packValues, packRows } = require('../lib/stores/level/packing')
const vectors = require('../tests/data/level_packing.json')

const bytes = (hex) => Buffer.from(hex, 'hex')

test('packs and emits have the layout that the native half defines', () => {
  assert.deepEqual(layout, native.layout())
})

test('requests to a Level database are read as the native half packs them', () => {
  const { get, ranges, batch } = vectors
  assert.deepEqual(unpackGet(bytes(get.packed)), { limit: get.limit, keys: get.keys })
  assert.deepEqual(unpackRanges(bytes(ranges.packed)), ranges.ranges)
  const make = {
    put: (key, value) => ({ put: [key, value.toString('hex')] }),
    putText: (key, value) => ({ putText: [key, value] }),
    del: (key) => ({ delete: key })
  }
  assert.deepEqual(unpackBatch(bytes(batch.packed), make), batch.ops)
})

test('answers of a Level database are packed as the native half reads them', () => {
  const { values, rows } = vectors
  const packed = packValues(values.values.map((value) => value === null ? undefined : bytes(value)))
  assert.deepEqual(packed, bytes(values.packed))
  assert.deepEqual(packRows(rows.rows.map((range) => range.map((row) => row.map(bytes)))), bytes(rows.packed))
})
