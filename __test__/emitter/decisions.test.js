'use strict'

/** Conditional and idempotent appends, and `decide`: in memory, in a folder, and in a Level database. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { once } = require('node:events')
const { spawn } = require('node:child_process')
const { describe, test } = require('node:test')

const { ENTRY, HyperEmitter, SCHEMA, folder } = require('./helpers')
const { STORES, all, make } = require('./stores')

for (const [what, store] of STORES) {
  describe(`decisions in ${what}`, () => {
    test('an append fails if a forbidden event is stored, and conditions are checked in the order of the calls', async (t) => {
      const emitter = make(t, store())
      const take = (num, after) => emitter.append('T', { num }, { tags: ['seat:1'], failIf: { tags: 'seat:1', after } })
      const first = take(1, 0)
      const second = take(2, 0)
      assert.equal((await first).change, 1)
      await assert.rejects(second, { code: 'ERR_HYPER_CONDITION', change: 1, message: /"T" of change 1/ })
      assert.equal((await take(3, 1)).change, 2)
      const list = [{ name: 'T', payload: { num: 4 } }, { name: 'U', payload: { id: 5 } }]
      await assert.rejects(emitter.append(list, { failIf: { query: [{ names: 'U' }, { names: 'T', tags: 'seat:1' }], after: 1 } }), { code: 'ERR_HYPER_CONDITION', change: 2 })
      assert.equal((await emitter.append(list, { failIf: { names: 'U' } })).length, 2)
      await assert.rejects(emitter.append(list, { failIf: {} }), { code: 'ERR_HYPER_CONDITION', change: 1 }, 'any event')
      assert.equal((await emitter.append(list, { failIf: { after: 4 } })).length, 2)
      assert.equal((await all(emitter.read())).length, 6)
    })

    test('a condition may apply to the events after that of a cursor', async (t) => {
      const emitter = make(t, store())
      const [first] = await emitter.append([{ name: 'T', payload: { num: 1 } }, { name: 'T', payload: { num: 2 } }])
      const append = (after) => emitter.append('T', { num: 3 }, { failIf: { names: 'T', after } })
      await assert.rejects(append(emitter.constructor.cursorOf(first)), { code: 'ERR_HYPER_CONDITION', change: 2 })
      const [, { cursor, log, seq }] = await all(emitter.read())
      const node = await append(cursor)
      assert.equal(node.change, 3)
      await assert.rejects(append({ log, seq }), { code: 'ERR_HYPER_CONDITION', change: 3 })
      await assert.rejects(append({ log, seq: 9 }), { code: 'ERR_HYPER_NOT_FOUND', message: /^after: entry 9 of log/ })
      await assert.rejects(append('no cursor'), { code: 'ERR_HYPER_INVALID_ARG' })
      await assert.rejects(emitter.append('T', { num: 3 }, { failIf: { tags: 'x'.repeat(300), after: cursor } }), { code: 'ERR_HYPER_INVALID_ARG' })
      assert.equal((await all(emitter.read())).length, 3)
      const late = append(node)
      await emitter.close()
      await assert.rejects(late, { code: 'ERR_HYPER_CLOSED' })
    })

    test('of concurrent decisions about the same events, none is stored if its events have changed', async (t) => {
      const emitter = make(t, store())
      const query = { query: [{ tags: ['account:1'] }] }
      let decided = 0
      // Each wants to withdraw 10 of 95.
      await emitter.append('T', { num: 95 }, { tags: ['account:1'] })
      const withdraw = () => emitter.decide(query, async (events, { append, after }) => {
        decided++
        assert.equal(after >= events.length, true)
        const balance = events.reduce((sum, { payload }) => sum + payload.num, 0)
        if (balance < 10) return 'refused'
        await append([{ name: 'T', payload: { num: -10 }, tags: ['account:1'] }])
        return 'paid'
      }, { retries: 100 })
      const results = await Promise.all(Array.from({ length: 12 }, withdraw))
      assert.deepEqual(results.filter((result) => result === 'paid').length, 9)
      assert.ok(decided > 12, 'some had to be decided anew')
      const entries = await all(emitter.read(query))
      assert.equal(entries.reduce((sum, { payload }) => sum + payload.num, 0), 5)
    })

    test('an append with an id is stored once: concurrently, later, and after the store was reopened', async (t) => {
      const db = store()
      let emitter = new HyperEmitter(db, SCHEMA)
      t.after(() => emitter.close())
      const append = (num) => emitter.append([{ name: 'T', payload: { num }, tags: ['x'] }, { name: 'U', payload: { id: num } }], { id: 'request-17' })
      const [one, two] = await Promise.all([append(1), append(1)])
      assert.deepEqual(one, two)
      assert.deepEqual(await append(1), one)
      await assert.rejects(append(2), { code: 'ERR_HYPER_ID_REUSED', change: 1 })
      const single = await emitter.append('T', { num: 3 }, { id: 'request-18' })
      assert.deepEqual(await emitter.append('T', { num: 3 }, { id: 'request-18' }), single)
      const node = await new Promise((resolve, reject) => emitter.emit('T', { num: 3 }, { id: 'request-18' }, (error, node) => error ? reject(error) : resolve(node)))
      assert.deepEqual(node, single)
      if (what === 'a folder') {
        await emitter.close()
        emitter = new HyperEmitter(db, SCHEMA)
        assert.deepEqual((await append(1)).map(({ key, change }) => [key, change]), one.map(({ key, change }) => [key, change]))
      }
      assert.equal((await all(emitter.read())).length, 3)
    })

    test('invalid conditions and ids are refused, and nothing is stored', async (t) => {
      const emitter = make(t, store())
      const bad = (options, message) => assert.rejects(emitter.append('T', { num: 1 }, options), { code: 'ERR_HYPER_INVALID_ARG', message })
      await bad({ id: '' }, /1 to 256/)
      await bad({ id: 'x'.repeat(257) }, /257 bytes/)
      await bad({ id: 7 }, /string/)
      await bad({ failIf: true }, /failIf/)
      await bad({ failIf: { names: [] } }, /failIf/)
      await bad({ failIf: { tags: 'x', after: -1 } }, /after/)
      await bad({ failIf: { tags: 'x', after: 7 } }, /log ends with change 0/)
      assert.deepEqual(await all(emitter.read()), [])
      assert.equal((await emitter.append('T', { num: 1 }, { id: 'x'.repeat(256) })).change, 1)
    })

    test('random appends, conditions and reads have the same results as on a plain list', async (t) => {
      const emitter = make(t, store())
      let seed = 7
      const random = (below) => {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
        return (seed >>> 8) % below
      }
      const events = []
      const requests = new Map()
      const answers = []
      for (let step = 0; step < 400; step++) {
        const tags = [`tag:${random(6)}`]
        const list = Array.from({ length: 1 + random(3) }, () => ({ name: random(2) ? 'T' : 'U', payload: { num: step, id: step }, tags }))
        const options = {}
        let expected
        if (random(2)) {
          const after = Math.max(0, events.length - random(8))
          const forbidden = `tag:${random(6)}`
          options.failIf = { tags: forbidden, after }
          if (events.slice(after).includes(forbidden)) expected = 'ERR_HYPER_CONDITION'
        }
        if (random(3) === 0) {
          options.id = `request ${random(30)}`
          if (requests.has(options.id)) expected = 'ERR_HYPER_ID_REUSED'
        }
        if (expected === undefined) {
          if (options.id !== undefined) requests.set(options.id, step)
          expected = events.length + 1
          for (const event of list) events.push(event.tags[0])
        }
        answers.push(emitter.append(list, options).then((nodes) => nodes[0].change, (error) => error.code).then((answer) => assert.equal(answer, expected, `step ${step}`)))
        if (random(20) === 0) await Promise.all(answers)
      }
      await Promise.all(answers)
      assert.deepEqual((await all(emitter.read())).map(({ tags }) => tags[0]), events)
    })
  })
}

test('the property after of a read is the change up to which it has returned everything', async (t) => {
  const emitter = make(t)
  for (let num = 1; num <= 5; num++) await emitter.append('T', { num }, { tags: num < 4 ? ['x'] : [] })
  const after = async (options) => {
    const entries = emitter.read(options)
    for await (const entry of entries) assert.ok(entry)
    return entries.after
  }
  assert.equal(await after(), 5)
  assert.equal(await after({ tags: 'x' }), 5)
  assert.equal(await after({ tags: 'nobody' }), 5)
  assert.equal(await after({ tags: 'x', until: 4 }), 4)
  assert.equal(await after({ tags: 'x', limit: 2 }), 2)
  assert.equal(await after({ tags: 'x', reverse: true }), 5)
})

test('decide gives up after its last attempt, and passes on other errors', async (t) => {
  const emitter = make(t)
  let attempts = 0
  const lose = async (events, { append }) => {
    attempts++
    await emitter.append('T', { num: attempts }, { tags: ['x'] })
    await append('T', { num: -1 })
  }
  await assert.rejects(emitter.decide({ tags: 'x' }, lose, { retries: 3 }), { code: 'ERR_HYPER_CONDITION' })
  assert.equal(attempts, 4)
  await assert.rejects(emitter.decide({ tags: 'x' }, () => { throw new Error('mine') }), /mine/)
  await assert.rejects(emitter.decide({ tags: 7 }, lose), { code: 'ERR_HYPER_INVALID_ARG' })
  assert.equal(attempts, 4)
  // The condition of another append is not the decision's.
  const other = () => {
    attempts++
    return emitter.append('T', { num: 5 }, { failIf: { tags: 'x' } })
  }
  await assert.rejects(emitter.decide({ tags: 'x' }, other), { code: 'ERR_HYPER_CONDITION' })
  assert.equal(attempts, 5)
})

test('decide appends at most once per decision, and refuses invalid retries', async (t) => {
  const emitter = make(t)
  let attempts = 0
  const twice = async (events, { append }) => {
    attempts++
    await append('T', { num: 1 }, { tags: ['x'] })
    await append('T', { num: 2 }, { tags: ['x'] })
  }
  await assert.rejects(emitter.decide({ tags: 'x' }, twice), { code: 'ERR_HYPER_INVALID_ARG', message: /append may be called once/ })
  assert.equal(attempts, 1)
  assert.equal((await all(emitter.read())).length, 1)
  for (const retries of [NaN, -1, 1.5, '3', null, Infinity]) {
    await assert.rejects(emitter.decide({ tags: 'x' }, twice, { retries }), { code: 'ERR_HYPER_INVALID_ARG', message: /retries must be/ })
  }
  assert.equal(attempts, 1)
})

test('contradicting decisions of two emitters are reported to both', async (t) => {
  const [one, two] = [make(t), make(t)]
  const take = (emitter, num) => emitter.append('T', { num }, { tags: ['seat:1'], failIf: { tags: 'seat:1' } })
  await take(one, 1)
  await take(two, 2)
  const told = Promise.all([once(one.status, 'conflict'), once(two.status, 'conflict')])
  const { port } = await one.listen(0, '127.0.0.1')
  await two.connect(port, '127.0.0.1')
  const [[first], [second]] = await told
  assert.deepEqual([first.ours.payload.num, first.theirs.payload.num], [1, 2])
  assert.deepEqual([second.ours.payload.num, second.theirs.payload.num], [2, 1])
  assert.deepEqual(first.ours.tags, ['seat:1'])
})

test('after a kill, no id is used twice and no condition is violated', async (t) => {
  for (let round = 0; round < 3; round++) {
    const db = path.join(folder(), 'store')
    const script = `
      const emitter = new (require(${JSON.stringify(ENTRY)}))(process.argv[1], ${JSON.stringify(SCHEMA)})
      async function run (worker) {
        for (let num = 0; ; num++) {
          const events = [{ name: 'T', payload: { foo: 'id', num } }, { name: 'T', payload: { foo: 'more', num } }]
          await emitter.append(events, { id: 'request-' + num })
          await emitter.append('T', { foo: 'seat', num }, { tags: ['seat:' + num], failIf: { tags: 'seat:' + num } }).catch(() => {})
          if (worker === 0) process.stdout.write('.')
        }
      }
      for (let worker = 0; worker < 4; worker++) run(worker)`
    const wanted = 20 * (round + 1)
    // Killed, and begun again on the same store.
    for (let run = 0; run < 2; run++) {
      const child = spawn(process.execPath, ['-e', script, '--', db], { stdio: ['ignore', 'pipe', 'inherit'] })
      t.after(() => child.kill('SIGKILL'))
      await new Promise((resolve) => {
        let left = wanted * (run + 1)
        child.stdout.on('data', (data) => {
          left -= data.length
          if (left <= 0) resolve()
        })
      })
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    const emitter = new HyperEmitter(db, SCHEMA)
    const seen = new Set()
    let before
    for (const { payload: { foo, num } } of await all(emitter.read())) {
      const what = `${foo} ${num}`
      assert.equal(seen.has(what), false, `${what} is stored twice`)
      seen.add(what)
      if (foo === 'more') assert.equal(before, `id ${num}`)
      before = what
    }
    assert.ok(seen.has(`id ${wanted * 2 - 1}`))
    await emitter.close()
  }
})

test('a condition or a batch that does not fit into the emit buffer is checked and stored like others', async (t) => {
  const emitter = make(t)
  const long = 'n'.repeat(300)
  emitter.registerCodec(long, { encode: () => Buffer.from('x'), decode: String })
  const appends = [
    emitter.append(long, {}),
    emitter.append('T', { num: 2 }, { failIf: { names: long } }),
    emitter.append('T', { num: 3 }, { failIf: { names: 'n'.repeat(299) } }),
    emitter.append(Array.from({ length: 300 }, (_, num) => ({ name: 'T', payload: { foo: 'x'.repeat(1000), num } }))),
    emitter.append('T', { num: 5 }, { failIf: { names: '' } }),
    emitter.append('T', { num: 6 }, { failIf: { tags: '' } }),
    emitter.append('T', { num: 7 }, { failIf: { query: Array.from({ length: 65 }, (_, num) => ({ names: `${num}` })) } }),
    emitter.append('T', { num: 8 }, { failIf: { tags: Array.from({ length: 65 }, (_, num) => `${num}`) } }),
    emitter.append('T', { num: 9 }, { failIf: { names: 'ü€'.repeat(51) } }),
    emitter.append('T', { num: 10 })
  ]
  const results = await Promise.allSettled(appends)
  const told = results.map(({ value, reason }) => reason ? reason.code : [value].flat().map(({ change }) => change).at(-1))
  assert.deepEqual(told, [1, 'ERR_HYPER_CONDITION', 2, 302, 303, 'ERR_HYPER_INVALID_ARG', 'ERR_HYPER_INVALID_ARG', 'ERR_HYPER_INVALID_ARG', 304, 305])
})

test('a conditional emit without a callback is stored, and a refusal is reported as a warning', async (t) => {
  const emitter = make(t)
  const warned = once(emitter.status, 'warning')
  emitter.emit('T', { num: 1 }, { tags: ['seat:1'], id: 'one' })
  emitter.emit('T', { num: 1 }, { tags: ['seat:1'], id: 'one' })
  emitter.emit('T', { num: 2 }, { tags: ['seat:1'], failIf: { tags: 'seat:1' } })
  const [warning] = await warned
  assert.equal(warning.code, 'ERR_HYPER_CONDITION')
  assert.deepEqual((await all(emitter.read())).map(({ payload }) => payload.num), [1])
})
