'use strict'

const { asyncReducer, reducerFailed } = require('../errors')

/**
 * An entry that changes states.
 *
 * @typedef {object} Step
 * @property {object} entry
 * @property {(state: *, payload: *, entry: object) => *} reducer
 * @property {string[]} keys of the states that it changes
 * @property {number} bytes of its payload
 */

/** Applies entries to the states of a generation. */
class Reducing {
  /**
   * @param {import('./definition').Definition} definition
   * @param {import('./states')} states
   */
  constructor (definition, states) {
    this.definition = definition
    this.states = states
  }

  /** What an entry does. Throws if that cannot be said: then the entries before it are still to be applied. */
  stepOf (entry, bytes) {
    try {
      if (entry.error !== undefined) throw entry.error
      return { entry, reducer: this.definition.on.get(entry.name), keys: this.definition.keysOf(entry), bytes }
    } catch (error) {
      throw reducerFailed(this.definition, entry, error)
    }
  }

  /**
   * The items of all keys of these steps. Only if some have to be read from the store, it is a promise.
   *
   * @param {Step[]} steps
   * @returns {Map<string, object> | Promise<Map<string, object>>}
   */
  itemsOf (steps) {
    const items = new Map()
    const missing = []
    for (const { keys } of steps) {
      for (const key of keys) {
        if (items.has(key)) continue
        const item = this.states.find(key)
        if (item === undefined) missing.push(key)
        items.set(key, item)
      }
    }
    return missing.length === 0 ? items : this.states.load(missing).then((loaded) => new Map([...items, ...loaded]))
  }

  /**
   * Applies one entry to all its keys, or, if a reducer throws, to none.
   *
   * @param {Step} step
   * @param {Map<string, object>} items
   */
  apply ({ entry, reducer, keys, bytes }, items) {
    const { definition, states } = this
    const payload = entry.payload === undefined ? entry.raw : entry.payload
    let results
    try {
      results = keys.map((key) => {
        const { state } = items.get(key)
        return checked(reducer(state === undefined ? definition.initial(key) : state, payload, entry))
      })
    } catch (error) {
      throw reducerFailed(definition, entry, error)
    }
    const by = { cursor: entry.cursor, name: entry.name, change: entry.change }
    for (const [place, key] of keys.entries()) states.set(key, items.get(key), results[place], by, bytes)
  }
}

/** The result of a reducer. A promise would be stored as an empty object. */
function checked (state) {
  if (state !== null && typeof state === 'object' && typeof state.then === 'function') {
    state.then(ignore, ignore)
    throw asyncReducer()
  }
  return state
}

function ignore () {}

module.exports = Reducing
