'use strict'

const { projectionChanged, projectionRestarted } = require('../errors')
const { isUnreadable } = require('./faults')
const { newGeneration, noRecord, readRecord, recordBytes, recordKey, statesOf } = require('./records')

/** Keys that are deleted with one write, and bytes of their values. */
const SWEEP = { rows: 1024, bytes: 1024 * 1024 }

/** What is kept of a projection: the generation that is derived, and those before it. */
class Generations {
  /**
   * @param {object} parts
   * @param {import('./definition').Definition} parts.definition
   * @param {import('./kept')} [parts.kept] undefined if nothing is kept
   * @param {(change: number) => Promise<string | null | undefined>} parts.keyAt the key of the node with a change
   * @param {(error: Error) => void} parts.warn
   */
  constructor ({ definition, kept, keyAt, warn }) {
    this.definition = definition
    this.kept = kept
    this.keyAt = keyAt
    this.warn = warn
    this.record = noRecord()
    /** @type {import('./records').Generation | undefined} the one that is derived */
    this.current = undefined
    /** @type {import('./records').Generation | undefined} the one that answers until the current one does */
    this.old = undefined
  }

  /** Reads the record, and finds the generation to continue with, or begins a new one. */
  async open () {
    const { definition } = this
    const record = this.record = await this.read()
    if (record.live !== undefined && !await this.fits(record.live)) record.live = this.drop(record.live)
    if (record.live?.version === definition.version) {
      if (record.live.print !== definition.print) throw projectionChanged(definition)
      this.current = record.live
      if (record.building !== undefined) record.building = this.drop(record.building)
      return
    }
    this.old = record.live
    const { building } = record
    const continues = building?.version === definition.version && building.print === definition.print && await this.fits(building)
    if (building !== undefined && !continues) this.drop(building)
    this.current = record.building = continues ? building : newGeneration(definition)
  }

  async read () {
    if (this.kept === undefined) return noRecord()
    const key = recordKey(this.definition.name)
    try {
      return readRecord(key, ...await this.kept.get([key]))
    } catch (error) {
      if (!isUnreadable(error)) throw error
      this.warn(projectionRestarted(this.definition, error))
      return noRecord()
    }
  }

  /** Whether states were derived from this log, which may have been replaced, or restored from a backup. */
  async fits ({ version, change, at }) {
    if (change === 0 || await this.keyAt(change) === at) return true
    this.warn(projectionRestarted({ ...this.definition, version }, new Error('it does not fit the log')))
    return false
  }

  /** Marks a generation for deletion. */
  drop ({ id }) {
    this.record.gone.push(id)
    return undefined
  }

  /** The current generation answers from now on. */
  swap () {
    const { record } = this
    if (record.live === this.current) return
    if (record.live !== undefined) this.drop(record.live)
    record.live = this.current
    record.building = undefined
  }

  /** Gives up the current generation, because its states cannot be read, durably. */
  async forget () {
    const { record } = this
    this.drop(this.current)
    if (record.live === this.current) record.live = undefined
    record.building = this.current = this.old = undefined
    await this.kept.set([this.entry(record)])
  }

  /** The record as it is stored together with states that were derived up to a change. */
  entryAt (change, at, keys) {
    Object.assign(this.current, { change, at, keys })
    return this.entry(this.record)
  }

  entry (record) {
    return [recordKey(this.definition.name), recordBytes(record)]
  }

  /**
   * Deletes the states of generations that are marked for this in the stored record. Stops early if `isOver` says so.
   *
   * @returns {Promise<boolean>} whether there were any
   */
  async sweep (isOver) {
    const { record } = this
    const marked = [...record.gone]
    for (const id of marked) {
      await deleteStates(this.kept, id, isOver)
      if (isOver()) return false
      record.gone = record.gone.filter((each) => each !== id)
    }
    return marked.length > 0
  }
}

/** Deletes the states of a generation, some at a time. */
async function deleteStates (kept, id, isOver = () => false) {
  const { prefix, end } = statesOf({ id })
  while (!isOver()) {
    const keys = await kept.keys(prefix, end, SWEEP)
    if (keys.length === 0) return
    await kept.set(keys.map((key) => [key, undefined]))
  }
}

module.exports = { Generations, deleteStates }
