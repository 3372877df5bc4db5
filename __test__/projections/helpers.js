'use strict'

/** Helpers of the tests of projections. */

const path = require('node:path')

const { folder } = require('../emitter/helpers')
const { OPEN } = require('../emitter/stores')
const { partsOf } = require('../consumers/helpers')

/** Kinds of stores, whether they keep anything, and what makes a function that opens one store again and again. */
const STORES = [
  ['memory', false, () => () => undefined],
  ...Object.entries(OPEN).map(([kind, open]) => [kind, true, () => {
    const dir = path.join(folder(), 'store')
    return () => open(dir)
  }])
]

/** Numbers of T by their foo: how many, and their sum. */
const SUMS = {
  init: () => ({ count: 0, sum: 0 }),
  key: ({ payload }) => payload.foo,
  on: { T: ({ count, sum }, { num }) => ({ count: count + 1, sum: sum + num }) }
}

/** Emits T with numbers from `first` to `last`; foo is `odd` or `even`. Resolves to the last node. */
async function emitNumbers (emitter, first, last) {
  for (let num = first; num < last; num++) emitter.emit('T', { num, foo: num % 2 ? 'odd' : 'even' })
  return emitter.append('T', { num: last, foo: last % 2 ? 'odd' : 'even' })
}

/** The entries of a projection as an object. */
async function entriesOf (projection) {
  const found = {}
  for await (const [key, state] of projection.entries()) found[key] = state
  return found
}

const keptOf = (emitter) => partsOf(emitter).projections.kept

/** The keys of all states in the store, of any projection and version. */
const keptKeys = (emitter) => keptOf(emitter).keys('s!', 's"', { rows: 1000, bytes: 1 << 20 })

/** Resolves once the store has nothing of a projection but the states of a live version. Returns the keys of all states. */
async function settled (emitter, name) {
  let record
  do {
    const [bytes] = await keptOf(emitter).get([`r!${name}`])
    record = JSON.parse(bytes)
  } while (record.live === undefined || record.building !== undefined || record.gone.length > 0)
  return (await keptKeys(emitter)).map((key) => key.slice(19))
}

/** Holds back what is read from the log until `release` is called. */
function holdRows (t, emitter) {
  const { rows } = partsOf(emitter)
  const fetch = rows.fetch.bind(rows)
  let held = []
  t.mock.method(rows, 'fetch', (...args) => held === undefined ? fetch(...args) : held.push(args))
  return {
    release () {
      const all = held
      held = undefined
      for (const args of all) fetch(...args)
    }
  }
}

module.exports = { STORES, SUMS, emitNumbers, entriesOf, holdRows, keptKeys, keptOf, settled }
