'use strict'

const assert = require('node:assert/strict')
const { writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { ClassicLevel } = require('classic-level')
const HyperEmitter = require('../..')
const { hypem, scratch } = require('./helpers')

const SCHEMA = `message order {
  message Line {
    optional uint32 price = 3;
  }
  optional string id = 1;
  repeated Line lines = 2;
}
`

/** A folder with a store of two orders, a note and bytes, and with a changed schema. */
async function store (t, to, { open = (db) => db } = {}) {
  const dir = scratch(t)
  const db = join(dir, 'db')
  const hyper = new HyperEmitter(open(db), `${SCHEMA} message note { optional string text = 1; }`)
  await hyper.append('order', { id: '1', lines: [{ price: 70 }] })
  await hyper.append('order', { id: '2', lines: [{ price: 80 }] })
  await hyper.append('note', { text: 'a' })
  await hyper.append('bytes', Buffer.from('b'))
  await hyper.close()
  writeFileSync(join(dir, 'new.proto'), to)
  return { db, proto: join(dir, 'new.proto') }
}

for (const [kind, open] of [['a folder', undefined], ['a LevelDB folder', (db) => new ClassicLevel(db)]]) {
  test(`show prints the messages that events of ${kind} were emitted with`, async (t) => {
    const { db } = await store(t, '', { open })
    const { code, stdout } = await hypem(t, ['schema', 'show', db])
    assert.equal(code, 0)
    assert.equal(stdout, `syntax = "proto2";

// order: 1.x's encoding
${SCHEMA}
// note: 1.x's encoding
message note {
  optional string text = 1;
}
`)
    // It is a schema itself.
    assert.deepEqual(Object.keys(HyperEmitter.compile(stdout)), ['order', 'note'])
    const { messages } = JSON.parse((await hypem(t, ['schema', 'show', db, '--json'])).stdout)
    assert.deepEqual(messages[0], { name: 'order', protobuf: '1.x', proto: SCHEMA })
  })
}

test('check passes a schema that can read everything', async (t) => {
  const { db, proto } = await store(t, `${SCHEMA.replace('uint32 price', 'int64 amount')} message note { repeated bytes text = 1; optional bool new = 2; }`)
  assert.deepEqual(await hypem(t, ['schema', 'check', proto, db]), { code: 0, stdout: '4 events tried, 4 can be decoded\n', stderr: '' })
  const { stdout } = await hypem(t, ['schema', 'check', proto, db, '--json'])
  assert.deepEqual(JSON.parse(stdout), { ok: true, events: 4, differences: [], unreadable: [] })
})

test('check prints the fields that differ, and the first event of each name that cannot be decoded', async (t) => {
  const { db, proto } = await store(t, SCHEMA.replace('uint32 price', 'string price'))
  const { code, stdout, stderr } = await hypem(t, ['schema', 'check', proto, db])
  assert.deepEqual([code, stderr], [3, ''])
  const [field, note, order, unreadNote, sum] = stdout.split('\n')
  assert.equal(field, 'order.lines.price: was uint32 = 3, is string = 3')
  assert.equal(note, 'note: was message note, is not in the schema')
  assert.match(order, /^order: 2 events cannot be decoded, the first is change 1: Line\.price is string in this schema, but was written as a varint/)
  assert.equal(unreadNote, 'note: 1 event cannot be decoded, the first is change 3: not in the schema')
  assert.equal(sum, '4 events tried, 1 can be decoded')
  const json = JSON.parse((await hypem(t, ['schema', 'check', proto, db, '--json'])).stdout)
  assert.deepEqual([json.ok, json.events, json.differences.length], [false, 4, 2])
  assert.deepEqual(json.unreadable.map(({ name, count, change }) => [name, count, change]), [['order', 2, 1], ['note', 1, 3]])
})

test('check and show say which arguments they need', async (t) => {
  const dir = scratch(t)
  for (const [args, code, words] of [
    [['schema', 'compare', 'db'], 2, 'schema can check and show, not compare'],
    [['schema', 'check', 'db'], 2, 'schema check takes SCHEMA and DB'],
    [['schema', 'show', 'new.proto', 'db'], 2, 'schema show takes DB'],
    [['schema', 'show', join(dir, 'nowhere')], 1, 'there is no store at']
  ]) {
    const run = await hypem(t, args)
    assert.equal(run.code, code)
    assert.ok(run.stderr.includes(words), run.stderr)
  }
})
