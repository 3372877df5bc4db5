'use strict'

/** `append` with a list: events that are stored together or not at all. In memory, in a folder, and in a Level database. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { once } = require('node:events')
const { spawn } = require('node:child_process')
const { Readable } = require('node:stream')
const { describe, test } = require('node:test')

const { ENTRY, HyperEmitter, SCHEMA, folder } = require('./helpers')
const { STORES, all, make } = require('./stores')

const numbers = async (emitter, query) => (await all(emitter.read(query))).map(({ payload }) => payload.num ?? payload.id)

/** Numbers from `from` on, as a list for `append`. */
const list = (from, count) => Array.from({ length: count }, (_, i) => ({ name: 'T', payload: { num: from + i } }))

for (const [what, store] of STORES) {
  describe(`batches in ${what}`, () => {
    test('resolve to their nodes, are found by tags, and are heard in order with no other event in between', async (t) => {
      const emitter = make(t, store())
      const heard = []
      emitter.on('T', ({ num }) => heard.push(num))
      emitter.on('U', ({ id }) => heard.push(id))
      const alone = emitter.append('T', { num: 1 })
      const batch = emitter.append([
        { name: 'T', payload: { num: 2 }, tags: ['order:7'] },
        { name: 'U', payload: { id: 3 } },
        { name: 'T', payload: { num: 4 }, tags: new Set(['order:7', 'user:3']) }
      ])
      const behind = emitter.append('T', { num: 5 })
      const nodes = await batch
      assert.deepEqual(nodes.map(({ change, seq }) => [change, seq]), [[2, 2], [3, 3], [4, 4]])
      assert.deepEqual([(await alone).change, (await behind).change], [1, 5])
      assert.deepEqual(nodes.map(({ links }) => links), [[(await alone).key], [nodes[0].key], [nodes[1].key]])
      assert.deepEqual(await numbers(emitter, { tags: 'order:7' }), [2, 4])
      assert.deepEqual(await numbers(emitter), [1, 2, 3, 4, 5])
      assert.deepEqual((await all(emitter.read()))[3].tags, ['order:7', 'user:3'])
      if (heard.length < 5) await once(emitter, 'T')
      assert.deepEqual(heard, [1, 2, 3, 4, 5])
      assert.equal((await emitter.append([{ name: 'T', payload: { num: 6 } }])).length, 1)
    })

    test('stay whole if a payload emits while it is encoded, and leave nothing if one throws', async (t) => {
      const emitter = make(t, store())
      // From then on the name has a number, and events with it are encoded into the emit buffer.
      await emitter.append('T', { num: 0 })
      const emitting = {
        get num () {
          emitter.emit('T', { num: 2 })
          emitter.append(list(3, 2)).catch(assert.fail)
          return 6
        }
      }
      const throwing = { get num () { throw new Error('no number') } }
      await assert.rejects(emitter.append([...list(100, 2), { name: 'T', payload: throwing }]), /no number/)
      // The batch does not begin at the beginning of the buffer.
      emitter.emit('T', { num: 1 })
      const batch = emitter.append([{ name: 'T', payload: { num: 5 }, tags: ['x'] }, { name: 'T', payload: emitting }, ...list(7, 1)])
      await emitter.append('T', { num: 8 })
      assert.deepEqual((await batch).map(({ change }) => change), [6, 7, 8])
      assert.deepEqual(await numbers(emitter), [0, 1, 2, 3, 4, 5, 6, 7, 8])
      assert.deepEqual(await numbers(emitter, { tags: 'x' }), [5])
    })

    test('and the emits around them keep their order, whether or not they fit the emit buffer', async (t) => {
      const emitter = make(t, store())
      // A name of this length has no number.
      const unnumbered = 'n'.repeat(300)
      emitter.registerCodec(unnumbered, { encode: ({ num }) => Buffer.from([num]), decode: ([num]) => ({ num }) })
      const expected = []
      const event = (size = 0, name = 'T') => {
        expected.push(expected.length)
        return { name, payload: { foo: 'x'.repeat(size), num: expected.length - 1 } }
      }
      const events = (count, size) => Array.from({ length: count }, () => event(size))
      const single = (size) => {
        const { name, payload } = event(size)
        return emitter.append(name, payload)
      }
      // Its payload is half encoded when it appends a batch, which is stored first.
      const nesting = () => {
        const inner = events(2, 50)
        const { payload: { num } } = event()
        let appended
        const outer = emitter.append('T', {
          foo: 'outer',
          get num () {
            appended ??= emitter.append(inner)
            return num
          }
        })
        return [appended, outer]
      }
      const appends = [
        single(40_000), emitter.append(events(230, 1000)), // fits an empty buffer only
        single(), emitter.append([event(), event(0, unnumbered), event()]),
        single(), emitter.append(events(300, 1000)), // fits no buffer
        ...nesting(), single(), ...nesting(), emitter.append(events(2)), single()
      ]
      await Promise.all(appends)
      assert.deepEqual(await numbers(emitter), expected)
      const outer = (await all(emitter.read({ names: 'T' }))).filter(({ payload }) => payload.foo === 'outer')
      assert.equal(outer.length, 2)
    })

    test('are stored whole if only the tags of an event do not fit the emit buffer', async (t) => {
      const emitter = make(t, store())
      await emitter.append('T', { num: 0 })
      const tags = Array.from({ length: 16 }, (_, n) => `${n}:`.padEnd(256, 'x'))
      const nodes = await emitter.append([{ name: 'T', payload: { foo: 'x'.repeat(260_000), num: 1 }, tags }, ...list(2, 1)])
      assert.deepEqual(nodes.map(({ change }) => change), [2, 3])
      assert.deepEqual((await all(emitter.read({ tags: tags[15] }))).map((entry) => [entry.payload.num, entry.tags]), [[1, tags]])
    })

    test('with one event that cannot be stored store nothing, and reject with the reason', async (t) => {
      const emitter = make(t, store(), { maxEventSize: 1000 })
      const bad = (events, expected) => assert.rejects(emitter.append(events), expected)
      const good = { name: 'T', payload: { num: 1 } }
      await bad([good, { name: 'T', payload: { foo: 'without num' } }], /num is required/)
      await bad([good, { name: 'T', payload: { foo: 'x'.repeat(2000), num: 2 } }], { code: 'ERR_HYPER_TOO_LARGE' })
      await bad([good, { name: '__proto__', payload: 'x' }], { code: 'ERR_HYPER_RESERVED_NAME' })
      await bad([good, { name: 'T', payload: { num: 2 }, tags: [''] }], { code: 'ERR_HYPER_VALUE' })
      await bad([good, { name: 'unknown', payload: { num: 2 } }], /no message 'unknown'/)
      await bad([good, null], { code: 'ERR_HYPER_INVALID_ARG', message: /event 2 of the list/ })
      await bad([], { code: 'ERR_HYPER_INVALID_ARG', message: /the list of events is empty/ })
      await bad(Array(1025).fill(good), { code: 'ERR_HYPER_INVALID_ARG', message: /has 1025 events, the limit is 1024/ })
      assert.deepEqual(await numbers(emitter), [])
      const nodes = await emitter.append(list(1, 1024))
      assert.equal(nodes.at(-1).change, 1024)
      // Now the name has a number, and events with it are encoded into the emit buffer.
      const tags = ['a', 'b'].map((tag) => tag.repeat(200))
      for (const event of [{ foo: 'x'.repeat(2000), num: 2 }, { foo: 'x'.repeat(800), num: 2 }]) {
        await bad([good, { name: 'T', payload: event, tags }], { code: 'ERR_HYPER_TOO_LARGE' })
      }
      assert.equal((await emitter.append([good, good])).at(-1).change, 1026)
    })

    test('reach a peer and its listeners whole', async (t) => {
      const [one, two] = [make(t, store()), make(t, store())]
      const heard = []
      let torn
      two.on('T', async ({ num }) => {
        heard.push(num)
        // When a listener gets the first event of a batch, the last one is already in the log.
        const [last] = await all(two.read({ names: 'T', reverse: true, limit: 1 }))
        if (last.payload.num % 50 !== 0) torn ??= last.payload.num
      })
      const { port } = await one.listen(0, '127.0.0.1')
      for (let batch = 0; batch < 5; batch++) await one.append(list(batch * 50 + 1, 50))
      await two.connect(port, '127.0.0.1')
      for (let batch = 5; batch < 20; batch++) await one.append(list(batch * 50 + 1, 50))
      while (heard.length < 1000) await once(two, 'T')
      assert.deepEqual(heard, Array.from({ length: 1000 }, (_, i) => i + 1))
      assert.deepEqual(await numbers(two, { names: 'T' }), heard)
      assert.equal(torn, undefined)
      assert.equal(await two.digest(), await one.digest())
    })
  })
}

test('a batch waits for the schema like a single event, and later changes to the caller\'s list have no effect', async (t) => {
  const schema = Readable.from([SCHEMA])
  const emitter = new HyperEmitter(undefined, schema)
  t.after(() => emitter.close())
  const events = list(2, 2)
  const order = [emitter.append('T', { num: 1 }), emitter.append(events), emitter.append('T', { num: 4 })]
  events.length = 0
  await Promise.all(order)
  assert.deepEqual(await numbers(emitter), [1, 2, 3, 4])
})

test('a closed emitter refuses a batch, and a batch may hold text and bytes without a codec', async (t) => {
  const emitter = new HyperEmitter()
  const nodes = await emitter.append([{ name: 'a', payload: 'text' }, { name: 'b', payload: Buffer.from('bytes') }])
  assert.equal(nodes.length, 2)
  assert.deepEqual((await all(emitter.read())).map(({ name, raw }) => [name, String(raw)]), [['a', 'text'], ['b', 'bytes']])
  await emitter.close()
  await assert.rejects(emitter.append([{ name: 'a', payload: 'x' }]), { code: 'ERR_HYPER_CLOSED' })
})

test('a batch that exceeds maxPending is refused as a whole, and later emits succeed', async (t) => {
  const emitter = make(t, undefined, { maxPending: 10_000 })
  const large = { name: 'T', payload: { foo: 'x'.repeat(6000), num: 1 } }
  await assert.rejects(emitter.append([large, large]), { code: 'ERR_HYPER_BACKLOG' })
  await emitter.append([large])
  assert.deepEqual(await numbers(emitter), [1])
})

test('a process that is killed while it appends batches leaves complete batches, and all acknowledged ones', async (t) => {
  for (let round = 0; round < 5; round++) {
    const db = path.join(folder(), 'store')
    const script = `
      const emitter = new (require(${JSON.stringify(ENTRY)}))(process.argv[1], ${JSON.stringify(SCHEMA)})
      async function append (worker) {
        for (let batch = 0; ; batch++) {
          const size = 2 + (batch + worker) % 7
          const events = Array.from({ length: size }, (_, i) => ({ name: 'T', payload: { foo: [worker, batch, size].join(' '), num: i } }))
          await emitter.append(events)
          process.stdout.write(events[0].payload.foo + '\\n')
        }
      }
      for (let worker = 0; worker < 8; worker++) append(worker)`
    const run = spawn(process.execPath, ['-e', script, '--', db], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => run.kill('SIGKILL'))
    let told = ''
    run.stdout.setEncoding('utf8').on('data', (text) => { told += text })
    while (told.split('\n').length < 100 * (round + 1)) await once(run.stdout, 'data')
    run.kill('SIGKILL')
    await once(run, 'close')
    const emitter = new HyperEmitter(db, SCHEMA)
    const counts = new Map()
    let next
    for (const { payload: { foo, num } } of await all(emitter.read())) {
      if (next !== undefined) assert.deepEqual([foo, num], next, 'a batch is torn')
      counts.set(foo, num + 1)
      next = num + 1 < Number(foo.split(' ')[2]) ? [foo, num + 1] : undefined
    }
    assert.equal(next, undefined, 'half a batch is left')
    for (const batch of told.split('\n').slice(0, -1)) assert.equal(counts.get(batch), Number(batch.split(' ')[2]))
    await emitter.close()
  }
})
