'use strict'

/** The constructor, and what is available immediately and after `ready`. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { HyperEmitter, SCHEMA, turns } = require('../helpers')

/** @param {import('./index').Stores} stores */
module.exports = function tests ({ make, open }) {
  test('an emitter is an EventEmitter, made with new or without', async (t) => {
    const emitter = HyperEmitter((await open(t)).db, SCHEMA)
    t.after(() => emitter.close())
    assert.ok(emitter instanceof HyperEmitter)
    assert.ok(emitter instanceof require('node:events'))
    assert.equal(HyperEmitter.length, 3)
    assert.equal(emitter.messages, emitter.codecs)
    assert.deepEqual(Object.keys(emitter.messages), ['T', 'U', 'Event', 'EventPeer'])
    assert.deepEqual(emitter._opts, { reconnectTimeout: 1000 })
    assert.equal(emitter.id, undefined)
  })

  test('ready is emitted once, after the constructor has returned', async (t) => {
    const emitter = await make(t)
    const heard = []
    emitter.status.on('ready', (...args) => heard.push(args))
    assert.equal(emitter.changes, undefined)
    assert.equal(emitter._hyperlog.id, null)
    await emitter.ready()
    await turns(2)
    assert.deepEqual(heard, [[]])
    assert.equal(emitter._hyperlog.changes, 0)
    assert.match(emitter._hyperlog.id, /^c[a-z0-9]{24}$/)
    assert.ok(emitter.changes !== undefined && emitter.changes === emitter.changeStream)
  })

  test('getId returns the same 25 characters each time, immediately once they are known', async (t) => {
    const emitter = await make(t)
    const id = await emitter.getId()
    assert.match(id, /^c[a-z0-9]{24}$/)
    assert.equal(emitter.id, id)
    assert.notEqual(id, emitter._hyperlog.id)
    let again
    assert.equal(emitter.getId((error, found) => { again = error ?? found }), undefined)
    assert.equal(again, id)
  })
}
