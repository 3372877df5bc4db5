'use strict'

/** A misspelt option is refused instead of ignored. Calls that 1.x has ignore unknown options, as before. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { all, make } = require('./stores')

test('read, append, decide, subscribe and caughtUp refuse options that they do not have, and say what was meant', async (t) => {
  const emitter = make(t)
  const node = await emitter.append('T', { num: 1 })
  const wrong = async (call, message) => {
    await assert.rejects(async () => call(), { name: 'TypeError', code: 'ERR_HYPER_INVALID_ARG', message })
  }
  await wrong(() => emitter.read({ name: 'T' }), "read has no 'name': did you mean 'names'?")
  await wrong(() => emitter.read({ query: [{ tag: 'x' }] }), "an item of a query has no 'tag': did you mean 'tags'?")
  await wrong(() => emitter.read({ query: [{ since: 1 }] }), "an item of a query has no 'since': it has 'names', 'tags'")
  await wrong(() => emitter.append('T', { num: 2 }, { failif: { tags: 'x' } }), "append has no 'failif': did you mean 'failIf'?")
  await wrong(() => emitter.append('T', { num: 2 }, { failIf: { tag: 'x' } }), "failIf has no 'tag': did you mean 'tags'?")
  await wrong(() => emitter.append([{ name: 'T', payload: { num: 2 } }], { tags: ['x'] }), "append of a list has no 'tags': it has 'id', 'failIf'")
  await wrong(() => emitter.decide({ tag: 'x' }, () => {}), "the query of decide has no 'tag': did you mean 'tags'?")
  await wrong(() => emitter.decide({}, () => {}, { attempts: 3 }), "decide has no 'attempts': it has 'retries', 'signal'")
  await wrong(() => emitter.decide(undefined, () => {}), 'decide: its query must be an object with names, tags or query')
  await wrong(() => emitter.decide({}), 'decide: its second argument must be a function of the events')
  await wrong(() => emitter.caughtUp(node, { timout: 1 }), "caughtUp has no 'timout': did you mean 'timeout'?")

  const handler = () => {}
  await wrong(() => emitter.subscribe('mails', { name: 'T' }, handler), "the query of subscription 'mails' has no 'name': did you mean 'names'?")
  await wrong(() => emitter.subscribe('mails', {}, handler, { attemps: 3 }), "subscription 'mails' has no 'attemps': did you mean 'attempts'?")
  await wrong(() => emitter.subscribe('mails', {}, { attempts: 3 }, handler), /handler comes before its options/)
  await wrong(() => emitter.subscribe('mails', {}, { form: 'now' }), "subscription 'mails' has no 'form': did you mean 'from'?")
  await wrong(() => emitter.subscribe('mails', {}, handler, { checkpoint: { evry: 1 } }), "checkpoint of subscription 'mails' has no 'evry': did you mean 'every'?")
  await wrong(() => emitter.subscribe('mails', {}, handler, { group: { members: 1, size: 2 }, key: handler }), "group of subscription 'mails' has no 'members': did you mean 'member'?")
  assert.equal((await emitter.stats()).change, 1, 'nothing was stored')
})

test('context.append refuses an id and a condition, which would have no effect', async (t) => {
  const emitter = make(t)
  await emitter.append('T', { num: 1 })
  const subscription = emitter.subscribe('orders', { names: 'T' }, (entry, { append }) => {
    assert.throws(() => append('U', { id: 1 }, { id: 'once' }), { message: "context.append has no 'id': it has 'tags'" })
    assert.throws(() => append([{ name: 'U', payload: { id: 1 } }], { tags: ['x'] }), { message: "context.append of a list has no 'tags': it has no options" })
    append('U', { id: 2 }, { tags: ['x'] })
  }, { attempts: 1 })
  await subscription.caughtUp()
  assert.deepEqual(await subscription.parked(), [])
  assert.deepEqual((await all(emitter.read({ names: 'U' }))).map(({ payload }) => payload.id), [2])
})

test("an option that is undefined counts as absent, and 1.x's calls ignore unknown options", async (t) => {
  const emitter = make(t, undefined, { mystery: 1 })
  emitter.emit('T', { num: 1 }, { mystery: 1 })
  await emitter.append('T', { num: 2 }, { failif: undefined })
  assert.equal((await all(emitter.read({ name: undefined }))).length, 2)
  emitter.stream({ from: 'beginning', highWaterMark: 1 }).destroy()
})
