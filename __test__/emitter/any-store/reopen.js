'use strict'

/** What a second emitter finds in a store. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, settled } = require('../helpers')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ open }) {
  test('a reopened store continues its log, without delivering old events again', async (t) => {
    const store = await open(t)
    if (store.again === undefined) return t.skip('this store ends with its emitter')
    const first = new HyperEmitter(store.db, SCHEMA)
    first.on('T', (message, done) => {})
    for (let num = 0; num < 5; num++) await first.append('T', { num })
    const id = await first.getId()
    await first.position('mine', 4)
    const digest = await first.digest()
    store.keep?.()
    await first.close()
    const second = new HyperEmitter(store.again(), SCHEMA)
    t.after(() => second.close())
    const heard = []
    second.on('T', (message) => heard.push(message.num))
    await second.ready()
    assert.equal(await second.digest(), digest)
    const node = await second.append('T', { num: 9 })
    await settled(second)
    assert.deepEqual(heard, [9])
    assert.deepEqual([node.change, node.seq, node.log], [6, 6, first._hyperlog.id])
    assert.equal(await second.getId(), id)
    assert.equal(await second.position('mine'), 4)
  })

  test('a store is copied into another', async (t) => {
    const store = await open(t)
    if (store.again === undefined) return t.skip('this store ends with its emitter')
    const source = new HyperEmitter(store.db, SCHEMA)
    for (let num = 0; num < 2000; num++) source.emit('T', { num })
    await settled(source)
    const digest = await source.digest()
    store.keep?.()
    await source.close()
    const copy = new HyperEmitter(null, SCHEMA)
    t.after(() => copy.close())
    assert.equal(await copy.importFrom(store.again()), 2001)
    assert.equal(await copy.digest(), digest)
    assert.equal((await copy.stats()).change, 2001)
  })
}
