'use strict'

const { deserialize, serialize } = require('node:v8')

const { quiet } = require('../callback')
const { keptUnreadable, newVersionAnswers, reasonOf, stateTooLarge, stateNotKept } = require('../errors')
const { statesOf } = require('./records')

/** Most states in memory that are in the store as well, and bytes of them, as stored. */
const MAX_CACHED = 65_536
const MAX_CACHED_BYTES = 32 * 1024 * 1024

/** The part of these limits that remains in memory after states were dropped. */
const EVICT_TO = 7 / 8

/** Most bytes of one state, as stored. */
const MAX_STATE = 16 * 1024 * 1024

/** States read at a time by `entries`, and bytes of them. */
const PAGE = { rows: 256, bytes: 1024 * 1024 }

/** A state in memory. */
class Item {
  /**
   * @param {*} state undefined if the key has none
   * @param {number} size bytes, as stored; an estimate while it is changed
   */
  constructor (state, size) {
    this.state = state
    this.size = size
    /** Whether it differs from what is stored. */
    this.isChanged = false
    /** Whether it is being stored: until then it cannot be read from the store. */
    this.isWriting = false
    /** Whether it was used since the cache was last cleared. */
    this.isUsed = true
    /** The last entry that has changed it, to name it in an error: `{ cursor, name, change }`. */
    this.by = undefined
  }
}

/**
 * The states of one generation, by key. Those in the store are read when they are needed; the last ones used stay in memory.
 * Without a store, all are in memory.
 */
class States {
  /**
   * @param {string} name the projection's
   * @param {import('./records').Generation} generation
   * @param {import('./kept')} [kept]
   */
  constructor (name, generation, kept) {
    this.name = name
    this.version = generation.version
    this.kept = kept
    this.keys = generation.keys
    const { prefix, end } = statesOf(generation)
    this.prefix = prefix
    this.end = end
    /** @type {Map<string, Item>} */
    this.cached = new Map()
    this.bytes = 0
    /** @type {Map<string, Item>} those that differ from what is stored */
    this.changed = new Map()
    this.changedBytes = 0
    /** Keys that are being read, with promises of their items. */
    this.loading = new Map()
    /** Whether all states are in memory, so that a key which is not has none. */
    this.isComplete = kept === undefined || generation.change === 0
    /** Whether a newer version has replaced it, and the store deletes it. */
    this.isGone = false
  }

  /** The item of a key; undefined if it has to be loaded. */
  find (key) {
    const item = this.cached.get(key)
    if (item === undefined) return this.isComplete ? new Item(undefined, 0) : undefined
    item.isUsed = true
    return item
  }

  /**
   * Reads items from the store.
   *
   * @param {string[]} keys
   * @returns {Promise<Map<string, Item>>}
   */
  async load (keys) {
    const missing = keys.filter((key) => !this.loading.has(key))
    if (missing.length > 0) {
      const read = quiet(this.kept.get(missing.map((key) => this.prefix + key)).then((values) => {
        for (const [place, key] of missing.entries()) this.keep(key, this.itemOf(key, values[place]))
      }).finally(() => {
        for (const key of missing) this.loading.delete(key)
      }))
      for (const key of missing) this.loading.set(key, read)
    }
    const found = new Map()
    for (const key of keys) {
      await this.loading.get(key)
      found.set(key, this.find(key) ?? (await this.load([key])).get(key))
    }
    return found
  }

  itemOf (key, bytes) {
    return bytes === undefined ? new Item(undefined, 0) : new Item(this.read(key, bytes), bytes.length)
  }

  read (key, bytes) {
    try {
      return deserialize(bytes)
    } catch (error) {
      throw keptUnreadable(this.prefix + key, reasonOf(error))
    }
  }

  keep (key, item) {
    if (this.cached.has(key)) return
    this.cached.set(key, item)
    this.bytes += item.size
  }

  /** The state of a key; undefined if it has none. */
  async get (key) {
    const item = this.find(key)
    if (item !== undefined) return item.state
    const loaded = (await this.load([key])).get(key)
    this.evict()
    return loaded.state
  }

  /**
   * Sets the state of a key.
   *
   * @param {string} key
   * @param {Item} item from {@link find} or {@link load}
   * @param {*} state undefined: the key has no state any more
   * @param {{ cursor: string, name: string, change: number }} by the entry that changes it
   * @param {number} bytes about so much it grows by
   */
  set (key, item, state, by, bytes) {
    if (item.state === undefined && state !== undefined) this.keys++
    else if (item.state !== undefined && state === undefined) this.keys--
    item.state = state
    if (this.kept === undefined) {
      if (state === undefined) this.cached.delete(key)
      else this.cached.set(key, item)
      return
    }
    const other = this.cached.get(key)
    if (other !== item) {
      // It was dropped from memory since it was loaded, and perhaps loaded once more.
      this.bytes += item.size - (other?.size ?? 0)
      this.cached.set(key, item)
    }
    item.by = by
    item.size += bytes
    this.bytes += bytes
    if (!item.isChanged) {
      item.isChanged = true
      this.changed.set(key, item)
      this.changedBytes += item.size
    } else {
      this.changedBytes += bytes
    }
  }

  /**
   * What has changed since the last snapshot, as it is stored. Afterwards either `stored` or `failed` must be called.
   *
   * @returns {{ values: [string, Buffer | undefined][], stored: () => void, failed: () => void }}
   * @throws if a state cannot be stored
   */
  snapshot () {
    const items = [...this.changed]
    const values = items.map(([key, item]) => [this.prefix + key, this.bytesOf(key, item)])
    for (const [place, [, item]] of items.entries()) {
      const size = values[place][1]?.length ?? 0
      this.bytes += size - item.size
      item.size = size
      item.isChanged = false
      item.isWriting = true
    }
    this.changed = new Map()
    this.changedBytes = 0
    return {
      values,
      stored: () => {
        for (const [, item] of items) item.isWriting = false
        this.evict()
      },
      failed: () => {
        for (const [key, item] of items) {
          item.isWriting = false
          if (item.isChanged) continue
          item.isChanged = true
          this.changed.set(key, item)
          this.changedBytes += item.size
        }
      }
    }
  }

  bytesOf (key, { state, by }) {
    if (state === undefined) return undefined
    let bytes
    try {
      bytes = serialize(state)
    } catch (error) {
      throw stateNotKept(this, key, by, error)
    }
    if (bytes.length > MAX_STATE) throw stateTooLarge(this, key, by, bytes.length, MAX_STATE)
    return bytes
  }

  /** If there are too many states in memory, drops the least recently used of those that are in the store. */
  evict () {
    if (this.kept === undefined || !this.exceeds(1)) return
    let left = 2 * this.cached.size
    // Many at a time with one iteration, because a Map takes long to find its first element after others were deleted.
    for (const [key, item] of this.cached) {
      if (left-- === 0 || !this.exceeds(EVICT_TO)) break
      this.cached.delete(key)
      if (item.isChanged || item.isWriting || item.isUsed) {
        item.isUsed = false
        this.cached.set(key, item)
      } else {
        this.bytes -= item.size
        this.isComplete = false
      }
    }
  }

  /** Whether more is in memory than this part of what is allowed. */
  exceeds (part) {
    return this.cached.size > part * MAX_CACHED || this.bytes > part * MAX_CACHED_BYTES
  }

  /** All keys with their states, each as it is when it is reached. */
  async * entries () {
    if (this.kept === undefined) {
      for (const [key, { state }] of this.cached) yield [key, state]
      return
    }
    // What has not been stored yet comes first, because it may be missing in the store.
    const first = new Set()
    for (const [key, item] of this.cached) if (this.isComplete || item.isChanged || item.isWriting) first.add(key)
    const isWhole = this.isComplete
    for (const key of first) {
      const state = await this.get(key)
      if (state !== undefined) yield [key, state]
    }
    if (isWhole) return
    for (let from = this.prefix; ;) {
      const page = await this.kept.range(from, this.end, PAGE)
      if (this.isGone) throw newVersionAnswers(this)
      if (page.length === 0) return
      for (const [place, bytes] of page) {
        const key = place.slice(this.prefix.length)
        if (first.has(key)) continue
        const item = this.cached.get(key)
        const state = item === undefined ? this.read(key, bytes) : item.state
        if (state !== undefined) yield [key, state]
      }
      from = page.at(-1)[0] + '\0'
    }
  }
}

module.exports = States
