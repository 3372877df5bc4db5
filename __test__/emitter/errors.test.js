'use strict'

/** One class for all errors with a code of this module. Thrown values that are not errors are converted. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const { constants: { errno } } = require('node:os')
const path = require('node:path')
const vm = require('node:vm')
const { test } = require('node:test')

const { HyperEmitter } = require('./helpers')
const { reasonOf } = require('../../lib/errors')
const { timeText } = require('../../lib/log/stored-time')

const { HyperError } = HyperEmitter

/** What `run` throws or rejects with. */
async function failureOf (run) {
  try {
    await run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

test('every error with a code of this module is a HyperError, whether thrown, rejected or passed to a callback', async (t) => {
  const emitter = new HyperEmitter(undefined, 'message T { required int32 num = 1; }', { maxEventSize: 1000 })
  t.after(() => emitter.close())
  const closed = new HyperEmitter()
  await closed.close()
  const failing = {
    ERR_HYPER_CLOSED: () => closed.append('x', 'x'),
    ERR_HYPER_INVALID_ARG: () => emitter.read({ since: -1 }),
    ERR_HYPER_NOT_A_STORE: () => new HyperEmitter(__dirname).ready(),
    ERR_HYPER_NOT_FOUND: () => emitter._hyperlog.get('0'.repeat(64)),
    ERR_HYPER_RESERVED_NAME: () => emitter.emit('constructor', 'x'),
    ERR_HYPER_SCHEMA: () => HyperEmitter.compile('message {'),
    ERR_HYPER_TOO_LARGE: () => emitter.emit('big', Buffer.alloc(2000)),
    ERR_HYPER_VALUE: () => emitter.messages.T.fromJSON({ num: 'no number' })
  }
  for (const [code, run] of Object.entries(failing)) {
    const error = await failureOf(run)
    assert.equal(error.code, code)
    assert.ok(error instanceof Error && error instanceof HyperError, code)
  }
})

test('a wrong argument is a TypeError or RangeError as well', async (t) => {
  const emitter = new HyperEmitter()
  t.after(() => emitter.close())
  const range = await failureOf(() => emitter.stream({ from: -1 }))
  const type = await failureOf(() => emitter.on('x', 'no function'))
  assert.ok(range instanceof RangeError && range instanceof HyperError)
  assert.ok(type instanceof TypeError && type instanceof HyperError)
})

test('an error of a store has the file and the system\'s error in its fields', async () => {
  const notAStore = await failureOf(() => new HyperEmitter(__dirname).ready())
  assert.deepEqual([notAStore.code, notAStore.path], ['ERR_HYPER_NOT_A_STORE', __dirname])
  const name = path.join(__dirname, 'x'.repeat(300))
  const tooLong = await failureOf(() => new HyperEmitter(name).ready())
  assert.deepEqual([tooLong.code, tooLong.path, tooLong.system], ['ERR_HYPER_STORAGE', name, 'ENAMETOOLONG'])
  if (process.platform !== 'win32') assert.equal(tooLong.errno, -errno.ENAMETOOLONG)
})

test('nothing else is a HyperError', async (t) => {
  const own = Object.assign(new Error('theirs'), { code: 'ENOENT' })
  for (const other of [own, new Error('x'), { code: 'ERR_HYPER_CLOSED' }, undefined, null, 'ERR_HYPER_CLOSED']) {
    assert.ok(!(other instanceof HyperError))
  }
  class Mine extends HyperError {}
  const mine = new Mine('ERR_HYPER_CLOSED', 'mine', { cause: own })
  assert.ok(mine instanceof Mine && mine instanceof HyperError && mine.cause === own)
  assert.ok(!(new HyperError('ERR_HYPER_CLOSED', 'x') instanceof Mine))
})

test('HyperError can be imported by name', async () => {
  assert.equal((await import('../../index.mjs')).HyperError, HyperError)
})

test('every thrown value can be converted to text', () => {
  const odd = { get message () { throw new Error('a trap') } }
  const unprintable = new Proxy({}, { get () { throw new Error('a trap') }, getPrototypeOf () { throw new Error('a trap') } })
  assert.equal(reasonOf(new TypeError('a reason')), 'a reason')
  assert.equal(reasonOf(vm.runInNewContext('new Error("of another realm")')), 'of another realm')
  assert.deepEqual([undefined, null, 'text', 7, Symbol('s')].map(reasonOf), ['undefined', 'null', 'text', '7', 'Symbol(s)'])
  for (const thrown of [odd, unprintable, Object.create(null), () => {}]) assert.equal(typeof reasonOf(thrown), 'string')
})

test('a stored time may be any number, even one that no Date can hold', () => {
  assert.equal(timeText(0), '1970-01-01T00:00:00.000Z')
  assert.equal(timeText(8.64e15), '+275760-09-13T00:00:00.000Z')
  assert.equal(timeText(8.64e15 + 1), '8640000000000001')
  assert.equal(timeText(2 ** 64 - 1), '18446744073709552000')
  assert.equal(timeText(undefined), undefined)
})

test('every error that JavaScript gives a code is made in lib/errors.js', () => {
  const lib = path.join(__dirname, '../../lib')
  const makers = fs.readdirSync(lib, { recursive: true })
    .filter((file) => file.endsWith('.js') && file !== 'errors.js')
    .filter((file) => /code(?: =|:) '(?:ERR_|E[A-Z]+')|HyperError\(/.test(fs.readFileSync(path.join(lib, file), 'utf8')))
  assert.deepEqual(makers, [])
})
