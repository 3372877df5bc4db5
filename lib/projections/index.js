'use strict'

const { closed, noSuchProjection, projectionAtWork } = require('../errors')
const { quiet, rejected } = require('../callback')
const { Context } = require('../async-context')
const { Definition, checkName } = require('./definition')
const { isUnreadable } = require('./faults')
const { deleteStates } = require('./generations')
const { ALL_RECORDS, nameOf, noRecord, readRecord, recordBytes, recordKey } = require('./records')
const Derivation = require('./derivation')
const { Kept, opened } = require('./kept')
const Projection = require('./projection')

/** Records read at a time. */
const PAGE = { rows: 64, bytes: 1024 * 1024 }

/** The projections of one emitter. */
class Projections {
  /**
   * @param {object} parts
   * @param {object} parts.core the native half
   * @param {import('../native/requests')} parts.requests
   * @param {boolean} parts.canKeep whether the store keeps anything
   * @param {import('../log/reader')} parts.reader
   * @param {import('../log/arrivals')} parts.arrivals
   * @param {import('../emitting/deferred-queue')} parts.deferred
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../status')} parts.status
   */
  constructor ({ core, requests, canKeep, reader, arrivals, deferred, state, status }) {
    this.kept = canKeep ? new Kept(core, requests) : undefined
    this.reader = reader
    this.arrivals = arrivals
    this.deferred = deferred
    this.state = state
    this.status = status
    /** Projections that have not stopped, by name. */
    this.live = new Map()
    /** Names of which the store is deleting everything. */
    this.removing = new Set()
    this.isClosing = false
  }

  /**
   * @param {string} name
   * @param {object} given `version`, `query`, `init`, `on`, `key`, `store`
   */
  project (name, given) {
    const definition = new Definition(name, given, this.kept !== undefined)
    if (this.isClosing || this.state.closing) throw closed()
    this.checkFree(name)
    const { reader, arrivals, state, status } = this
    const projection = new Projection({ definition, context: new Context(), state, arrivals, status, release: () => this.live.delete(name) })
    this.live.set(name, projection)
    Projection.start(projection, new Derivation({
      definition,
      kept: definition.isKept ? this.kept : undefined,
      reader,
      state,
      ready: () => this.ready(),
      tell: (event, ...args) => Projection.tell(projection, event, ...args),
      warn: (error) => status.warn(error),
      failed: (error) => Projection.fail(projection, error)
    }))
    return projection
  }

  checkFree (name) {
    if (this.live.has(name) || this.removing.has(name)) throw projectionAtWork(name)
  }

  /** Resolves when the store is open, and the schema, if it comes as a stream, has been read. */
  async ready () {
    await this.state.ready
    if (this.deferred.deferring) await new Promise((resolve) => this.deferred.add(resolve))
  }

  /** What the store keeps of a projection that is not at work. */
  stored (name) {
    checkName(name)
    return { name, remove: () => this.remove(name) }
  }

  /** Deletes everything that is kept of a projection. Rejects if the store does not know it. */
  remove (name) {
    try {
      this.checkFree(name)
    } catch (error) {
      return rejected(error)
    }
    this.removing.add(name)
    return quiet(this.removeKept(name).finally(() => this.removing.delete(name)))
  }

  async removeKept (name) {
    await this.state.ready
    const { kept } = this
    const key = recordKey(name)
    const ids = kept === undefined ? undefined : await this.generationsOf(key)
    if (ids === undefined) throw noSuchProjection(name)
    // The record goes last, so that an interrupted removal can be repeated.
    await kept.set([[key, recordBytes({ ...noRecord(), gone: ids })]])
    for (const id of ids) await deleteStates(kept, id)
    await kept.set([[key, undefined]])
  }

  /** The ids of all generations in a record; undefined if there is no record. */
  async generationsOf (key) {
    try {
      const [bytes] = await this.kept.get([key])
      if (bytes === undefined) return undefined
      const { live, building, gone } = readRecord(key, bytes)
      return [...gone, ...[live, building].filter((each) => each !== undefined).map(({ id }) => id)]
    } catch (error) {
      if (!isUnreadable(error)) throw error
      return []
    }
  }

  /**
   * How each projection stands that is at work or that the store knows.
   *
   * @param {number} last the last change
   * @returns {Promise<object[]>}
   */
  async stats (last) {
    const all = new Map()
    for (const [key, value] of await this.records()) {
      const name = nameOf(key)
      all.set(name, storedStats(name, key, value, last))
    }
    for (const [name, projection] of this.live) {
      const { error, ...stats } = projection.stats()
      all.set(name, { ...stats, ...error !== undefined && { fault: error.message } })
    }
    return [...all.values()].sort((a, b) => a.name < b.name ? -1 : 1)
  }

  async records () {
    const found = []
    if (this.kept === undefined) return found
    const [first, end] = ALL_RECORDS
    for (let from = first; ;) {
      const page = await this.kept.values(from, end, PAGE)
      if (page.length === 0) return found
      found.push(...page)
      from = page.at(-1)[0] + '\0'
    }
  }

  /** Whether projections have to be stopped before the emitter is closed. */
  get isBusy () {
    return this.live.size > 0
  }

  /** Stops all of them. Resolves when what has changed is stored. */
  async stop () {
    this.isClosing = true
    await Promise.allSettled(Array.from(this.live.values(), (projection) => projection.stop()))
  }
}

/** How a projection stands that is not at work, by the value of its record. */
function storedStats (name, key, value, last) {
  try {
    const { live, building } = readRecord(key, opened(key, value))
    const { version, change, keys } = building ?? live ?? { version: null, change: 0, keys: 0 }
    return { name, version, answers: live?.version ?? null, state: 'stopped', change, behind: Math.max(last - change, 0), keys }
  } catch (error) {
    return { name, version: null, answers: null, state: 'stopped', change: 0, behind: last, keys: 0, fault: error.message }
  }
}

module.exports = Projections
