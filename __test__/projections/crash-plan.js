'use strict'

/** What crash.test.js shares with the process that it kills. */

/** Projections by name. `changing` has another version in each run. */
function projections (run) {
  const snapshot = { every: 8, within: 5 }
  return {
    sums: {
      snapshot,
      init: 0,
      key: ({ payload }) => payload.foo,
      on: { T: (sum, { num }) => sum + num }
    },
    last: {
      snapshot,
      init: () => ({ count: 0, list: [] }),
      on: { T: ({ count, list }, { num }) => ({ count: count + 1, list: [...list.slice(-9), num] }) }
    },
    changing: {
      snapshot,
      version: run,
      init: () => new Map(),
      // Every third number takes a state away.
      key: ({ payload: { num } }) => [num % 5, num % 11],
      on: { T: (state, { num }) => num % 3 === 0 ? undefined : new Map(state).set(num % 4, num) }
    }
  }
}

/** The states that a projection has derived from these entries, by key. */
function replay ({ init, key, on }, entries) {
  const states = new Map()
  for (const entry of entries) {
    for (const each of new Set(key === undefined ? [''] : [key(entry)].flat().map(String))) {
      const state = on.T(states.get(each) ?? (typeof init === 'function' ? init() : init), entry.payload, entry)
      if (state === undefined) states.delete(each)
      else states.set(each, state)
    }
  }
  return states
}

module.exports = { POINTS: ['reduce', 'store', 'storing', 'stored', 'emit'], projections, replay }
