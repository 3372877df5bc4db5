'use strict'

const { createHash } = require('node:crypto')

const { badProjection } = require('../errors')
const checkKeys = require('../known-keys')
const { SEARCH_KEYS, searchOf } = require('../log/query')

/** Most bytes of a projection's name, and of a key: they stand in the keys of the store. */
const MAX_NAME_LENGTH = 256
const MAX_KEY_LENGTH = 1024

/** Most keys whose states one event changes: all of them are in memory at the same time. */
const MAX_KEYS = 1024

/** By default, what has changed is stored when the log was read so much further, or so many milliseconds after a change. */
const EVERY = 65_536
const WITHIN = 1000

/** The largest values: what was read since is read again after a crash; and a timer of Node.js waits no longer. */
const MAX_EVERY = 1_048_576
const MAX_WITHIN = 2 ** 31 - 1

const KEYS = ['version', 'query', 'init', 'on', 'key', 'store', 'snapshot']

/** What a projection is: checked, and with the same form whatever the user has left out. */
class Definition {
  /**
   * @param {string} name
   * @param {object} given see {@link check}
   * @param {boolean} canKeep whether the store keeps anything
   */
  constructor (name, given, canKeep) {
    const { version = 1, query, init, on, key, store, snapshot: { every = EVERY, within = WITHIN } = {} } = check(name, given)
    this.name = name
    this.version = version
    /** Reducers by event name. */
    this.on = new Map(Object.entries(on))
    this.init = init
    this.key = key
    this.isKept = canKeep && store !== 'memory'
    /** Changes of the log, and milliseconds, after which what has changed is stored. */
    this.every = every
    this.within = within
    /** Which events are read. */
    this.search = searchOf(query ?? { names: [...this.on.keys()] })
    /** What decides which events change the states, as a text: with the same version, it must be the same. */
    this.print = printOf(this)
  }

  /** The state of a key before its first event. */
  initial (key) {
    return typeof this.init === 'function' ? this.init(key) : structuredClone(this.init)
  }

  /** The keys whose states an entry changes, each once. */
  keysOf (entry) {
    if (this.key === undefined) return ONE
    const keys = this.key(entry)
    if (keys === undefined || keys === null) return NONE
    if (!Array.isArray(keys)) return [this.checkKey(keys)]
    if (keys.length > MAX_KEYS) throw badProjection(this.name, `an event has ${keys.length} keys, the limit is ${MAX_KEYS}`)
    return [...new Set(keys.map((key) => this.checkKey(key)))]
  }

  /** A key as text. Throws if it cannot be one. */
  checkKey (key) {
    if (typeof key === 'number' || typeof key === 'bigint') return String(key)
    if (typeof key !== 'string' || !key.isWellFormed()) throw badProjection(this.name, `a key must be a text or a number, not ${typeof key}`)
    // No character has more than three bytes per unit.
    if (key.length * 3 > MAX_KEY_LENGTH && Buffer.byteLength(key) > MAX_KEY_LENGTH) throw badProjection(this.name, `a key has more than ${MAX_KEY_LENGTH} bytes`)
    return key
  }
}

/** The keys of a projection with one state, and of an entry that changes none. */
const ONE = ['']
const NONE = []

function check (name, given) {
  checkName(name)
  const refuse = (why) => { throw badProjection(name, why) }
  if (given === null || typeof given !== 'object') refuse('it must be an object { version, query, init, on, key }')
  checkKeys(`projection '${name}'`, given, KEYS)
  const { version, query, init, on, key, store, snapshot } = given
  if (version !== undefined && !(Number.isSafeInteger(version) && version >= 0)) refuse(`version must be a whole number, not ${String(version)}`)
  if (query !== undefined && (query === null || typeof query !== 'object')) refuse('query must be an object with names, tags or query')
  checkKeys(`the query of projection '${name}'`, query ?? {}, SEARCH_KEYS)
  if (on === null || typeof on !== 'object' || Object.keys(on).length === 0) refuse('on must be an object from event name to a function (state, payload, entry)')
  for (const [event, reducer] of Object.entries(on)) if (typeof reducer !== 'function') refuse(`on.${event} must be a function (state, payload, entry)`)
  if (key !== undefined && typeof key !== 'function') refuse('key must be a function of the entry')
  if (store !== undefined && store !== 'kept' && store !== 'memory') refuse(`store must be 'kept' or 'memory', not ${String(store)}`)
  if (snapshot !== undefined) checkSnapshot(snapshot, refuse)
  if (typeof init !== 'function') checkInit(init, refuse)
  return given
}

function checkSnapshot (snapshot, refuse) {
  if (snapshot === null || typeof snapshot !== 'object') refuse('snapshot must be { every, within }')
  checkKeys('snapshot of a projection', snapshot, ['every', 'within'])
  for (const [what, most] of [['every', MAX_EVERY], ['within', MAX_WITHIN]]) {
    const value = snapshot[what]
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1 && value <= most)) continue
    refuse(`snapshot.${what} must be a whole number from 1 to ${most}, not ${String(value)}`)
  }
}

function checkInit (init, refuse) {
  if (init === undefined) refuse('init must be the first state, or a function that makes it')
  try {
    structuredClone(init)
  } catch {
    refuse('init cannot be copied: give a function that makes the first state')
  }
}

/** Throws unless a projection can have this name. */
function checkName (name) {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) throw badProjection(String(name), 'its name must be a text')
  if (Buffer.byteLength(name) > MAX_NAME_LENGTH) throw badProjection(name, `its name has more than ${MAX_NAME_LENGTH} bytes`)
}

function printOf ({ search: { filter, names }, on, key }) {
  const items = filter?.items.map(({ names, tags }) => ({ names: [...names].sort(), tags: [...tags].sort() }))
  const parts = [items ?? null, names === undefined ? null : [...names].sort(), [...on.keys()].sort(), key !== undefined]
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64')
}

module.exports = { Definition, checkName }
