'use strict'

// Events of a recursive schema between 1.3.0 and ours: 1.x writes some fields without a length (src/codec/v1/bare_fields.rs).

const assert = require('node:assert/strict')
const { createRequire } = require('node:module')
const path = require('node:path')
const { test } = require('node:test')
const HyperEmitter = require('../..')

const load = createRequire(path.join(__dirname, '..', 'oracle', 'package.json'))

const SCHEMA = 'message Tree { required int32 id = 1; message Kid { optional Tree tree = 1; } repeated Kid kids = 2; }'
const tree = (id) => ({ id, kids: [{ tree: { id: id + 1, kids: [] } }] })
const heard = (emitter, id) => new Promise((resolve) => emitter.on('Tree', (payload) => payload.id === id && resolve(payload)))

test('events of a recursive schema pass between 1.3.0 and ours in both directions', { timeout: 60000 }, async (t) => {
  process.noDeprecation = true
  const Original = load('hyperemitter')
  const old = new Original(load('memdb')(), SCHEMA)
  const ours = new HyperEmitter(undefined, SCHEMA)
  t.after(() => Promise.all([ours.close(), new Promise((resolve) => old.close(resolve))]))
  const { port } = await ours.listen(0, '127.0.0.1')
  const fromOld = heard(ours, 10)
  const fromOurs = heard(old, 20)
  await new Promise((resolve) => old.connect(port, '127.0.0.1', resolve))
  old.emit('Tree', tree(10))
  ours.emit('Tree', tree(20))
  assert.deepEqual(await fromOld, tree(10))
  assert.deepEqual(await fromOurs, tree(20))
})

test('events that early 2.0 builds wrote with lengths are still read', async (t) => {
  const ours = new HyperEmitter(undefined, SCHEMA)
  t.after(() => ours.close())
  const { Tree } = ours.messages
  const before = HyperEmitter.compile(SCHEMA, { protobuf: 'standard' }).Tree
  // Its bytes were those of standard protobuf here, without a mark: as a custom codec's are.
  ours.registerCodec('Tree', { encode: before.encode, decode: before.decode })
  await ours.append('Tree', tree(1))
  ours.registerCodec('Tree', Tree)
  await ours.append('Tree', tree(2))
  const payloads = []
  for await (const { name, payload } of ours.read()) if (name === 'Tree') payloads.push(payload)
  assert.deepEqual(payloads, [tree(1), tree(2)])
})
