'use strict'

/** Whatever a handler throws, the attempt has failed and the subscription goes on. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { make } = require('../emitter/stores')
const { emitAll } = require('./helpers')

const refuse = (what) => () => { throw new Error(`nobody reads this ${what}`) }

/** An error one of whose properties is described by `how`. */
const errorWith = (key, how) => Object.defineProperty(new Error('x'), key, how)

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const THROWN = {
  undefined: () => undefined,
  'an error whose message throws': () => errorWith('message', { get: refuse('message') }),
  'an error whose message is no text': () => errorWith('message', { value: Object.create(null) }),
  'an error whose stack throws': () => errorWith('stack', { get: refuse('stack') }),
  'an object that looks like an error, whose message and stack throw': () => {
    return Object.create(Error.prototype, { message: { get: refuse('message') }, stack: { get: refuse('stack') } })
  },
  'a Proxy that hides its prototype': () => new Proxy({}, { getPrototypeOf: refuse('prototype') }),
  'a revoked Proxy': revoked
}

for (const [what, thrown] of Object.entries(THROWN)) {
  for (const how of ['throws', 'rejects with']) {
    test(`a handler ${how} ${what}`, async (t) => {
      const emitter = make(t)
      await emitAll(emitter, 1, 2)
      const handler = ({ payload: { num } }) => {
        if (num === 2) return undefined
        if (how === 'throws') throw thrown()
        return Promise.reject(thrown())
      }
      const subscription = emitter.subscribe('mails', {}, handler, { attempts: 2, backoff: 0 })
      await subscription.caughtUp()
      const [{ change, attempts, reason }] = await subscription.parked()
      assert.deepEqual([change, attempts, typeof reason], [1, 2, 'string'])
      await subscription.stop()
    })
  }
}
