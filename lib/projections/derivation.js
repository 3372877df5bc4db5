'use strict'

const { projectionOver, projectionRestarted } = require('../errors')
const { quiet, rejected } = require('../callback')
const RowStream = require('../log/row-stream')
const Waiters = require('../consumers/waiters')
const Reducing = require('./reducing')
const Snapshots = require('./snapshots')
const States = require('./states')
const { Generations } = require('./generations')
const { isTransient, isUnreadable } = require('./faults')

/** Entries that are applied together: the states of all their keys are in memory at the same time. */
const GROUP = 128

/** A snapshot is due when so many states have changed, or so many bytes of them, because they are all stored with one write. */
const MAX_CHANGED = 16_384
const MAX_CHANGED_BYTES = 8 * 1024 * 1024

/** Milliseconds after which reading the log is tried again. */
const READ_AGAIN = 1000

/** Derives the states of a projection: reads the log, applies the reducers, stores what has changed. */
class Derivation {
  /**
   * @param {object} parts
   * @param {import('./definition').Definition} parts.definition
   * @param {import('./kept')} [parts.kept] undefined if nothing is kept
   * @param {import('../log/reader')} parts.reader
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {() => Promise<void>} parts.ready resolves when entries can be read and decoded
   * @param {(event: string, ...args: *) => void} parts.tell `live`, `caughtUp`
   * @param {(error: Error) => void} parts.warn
   * @param {(error: Error) => void} parts.failed called once if it cannot go on
   */
  constructor ({ definition, kept, reader, state, ready, tell, warn, failed }) {
    this.definition = definition
    this.kept = kept
    this.reader = reader
    this.state = state
    this.ready = ready
    this.tell = tell
    this.warn = warn
    this.failed = failed
    this.generations = undefined
    /** @type {States | undefined} the states that are derived */
    this.states = undefined
    /** @type {States | undefined} those of another version, which answer until these have reached the end of the log */
    this.old = undefined
    /** The change up to which all events are in the states. */
    this.change = 0
    /** Whether the states have once reached the end of the log. */
    this.isLive = false
    this.stream = undefined
    this.reducing = undefined
    this.snapshots = undefined
    /** Settles when nothing is being deleted any more. */
    this.sweeping = undefined
    this.waiters = new Waiters()
    /** Why kept states must not be used any more. */
    this.doubt = undefined
    this.failure = undefined
    this.isStopping = false
    this.stopping = new Promise((resolve) => { this.onStopping = resolve })
    this.awaitStates()
    /** Ends the loop's wait for events. */
    this.wake = undefined
    this.work = undefined
  }

  /** From now on, {@link started} resolves once there are states that answer, or never will be. */
  awaitStates () {
    this.started = new Promise((resolve) => { this.onStarted = resolve })
  }

  start () {
    this.work = this.run().catch((error) => this.fail(error))
  }

  async run () {
    await Promise.race([this.ready(), this.stopping])
    for (let restarted = false; !this.isStopping; restarted = !this.isLive) {
      try {
        await this.begin()
        await this.derive()
      } catch (error) {
        // What is kept can be derived again; unless that fails in the same way.
        if (!isUnreadable(error) || restarted) throw error
        this.warn(projectionRestarted(this.definition, error))
        await this.restart()
      }
    }
  }

  async begin () {
    const { definition, kept, warn } = this
    const generations = this.generations = new Generations({ definition, kept, warn, keyAt: (change) => this.keyAt(change) })
    await generations.open()
    const { current, old, record } = generations
    this.states = new States(definition.name, current, kept)
    this.old = old && new States(definition.name, old, kept)
    this.change = current.change
    this.isLive = record.live === current
    this.reducing = new Reducing(definition, this.states)
    if (kept !== undefined) {
      this.snapshots = new Snapshots({ take: () => this.take(), within: definition.within, warn, failed: (error) => this.fail(error) })
      if (record.gone.length > 0) this.sweep()
    }
    this.onStarted()
  }

  /** Gives up the states, so that {@link begin} finds none. */
  async restart () {
    this.stream?.end()
    this.doubt = undefined
    await this.snapshots?.end(true)
    this.awaitStates()
    this.states.isGone = true
    this.states = this.old = undefined
    await this.generations.forget()
  }

  /** The key of the node with a change; null for none, undefined if it is not stored. */
  async keyAt (change) {
    if (change === 0) return null
    if (change > this.state.lastChange()) return undefined
    return new Promise((resolve, reject) => {
      this.reader.rows.keyAt(change, (error, key) => error ? reject(error) : resolve(key))
    })
  }

  // ---- reading the log

  async derive () {
    const bounds = { since: this.change, live: true, atEnd: (change) => this.atEnd(change) }
    this.stream = new RowStream(this.reader.rows, this.state.lastChange(), { ...this.definition.search, ...bounds })
    while (!this.isStopping) {
      if (this.doubt !== undefined) throw this.doubt
      const { steps, fault, reached } = this.nextSteps()
      if (steps.length > 0) {
        const items = this.reducing.itemsOf(steps)
        this.apply(steps, items instanceof Map ? items : await items)
      }
      if (fault !== undefined) throw fault
      this.reach(reached)
      if (this.isDue) await this.snapshots.turn()
      if (steps.length < GROUP) await this.fetch()
    }
  }

  /**
   * Takes the next entries that have a reducer from those that were fetched: fewer than {@link GROUP} if there are no more.
   * `reached` is the change up to which all are taken; `fault`, why the entry behind them cannot be.
   */
  nextSteps () {
    const { stream, reducing, reader, definition } = this
    const steps = []
    while (stream.advance()) {
      const { row } = stream
      if (!definition.on.has(row.name)) continue
      try {
        steps.push(reducing.stepOf(reader.entryOf(row, false), row.end - row.start))
      } catch (fault) {
        return { steps, fault, reached: 0 }
      }
      if (steps.length === GROUP) return { steps, reached: row.change }
    }
    return { steps, reached: stream.cursor.from }
  }

  apply (steps, items) {
    if (this.isStopping) return
    for (const step of steps) {
      this.reducing.apply(step, items)
      this.change = step.entry.change
    }
    this.snapshots?.note()
    this.states.evict()
  }

  async fetch () {
    try {
      await new Promise((resolve, reject) => {
        this.wake = resolve
        this.stream.fetch((error) => error ? reject(error) : resolve())
      })
    } catch (error) {
      if (!isTransient(error)) throw error
      this.warn(error)
      await new Promise((resolve) => {
        this.wake = resolve
        setTimeout(resolve, READ_AGAIN).unref()
      })
    }
  }

  /** Called when there is nothing more to read for now. */
  atEnd (change) {
    this.reach(change)
    if (this.isDue) quiet(this.snapshots.now())
    if (this.old === undefined) this.tell('caughtUp', this.change)
  }

  /** Notes that all events up to a change are in the states. */
  reach (change) {
    if (change > this.change) this.change = change
    if (!this.isLive && this.change >= this.state.lastChange()) quiet(this.goLive())
    this.tellWaiters()
  }

  /** Whether a snapshot is due. */
  get isDue () {
    if (this.snapshots === undefined) return false
    const { changed, changedBytes } = this.states
    return changed.size >= MAX_CHANGED || changedBytes >= MAX_CHANGED_BYTES || this.change - this.generations.current.change >= this.definition.every
  }

  /** Stores everything that has changed, together with the change up to which it was derived. */
  async take () {
    const { states, generations, change } = this
    const { keys } = states
    const { values, stored, failed } = states.snapshot()
    try {
      const at = await this.keyAt(change)
      await this.kept.set([...values, generations.entryAt(change, at, keys)])
    } catch (error) {
      failed()
      throw error
    }
    stored()
  }

  // ---- versions

  /** Lets these states answer, and deletes those that have answered before. */
  async goLive () {
    this.isLive = true
    this.generations.swap()
    // In one commit with the states.
    await this.snapshots?.now()
    if (this.old !== undefined) {
      this.old.isGone = true
      this.old = undefined
    }
    this.tellWaiters()
    this.tell('live', this.definition.version)
    if (this.generations.record.gone.length > 0) this.sweep()
  }

  /** Deletes the states of generations that are not used any more. What remains after a failure is deleted at the next start. */
  sweep () {
    const { snapshots, generations } = this
    const sweep = async () => {
      // First, the record must say so.
      await snapshots.now()
      if (await generations.sweep(() => this.isStopping)) await snapshots.now()
    }
    this.sweeping = sweep().catch(() => {})
  }

  // ---- what users ask for

  /** The state of a key; undefined if it has none. */
  async get (key) {
    for (;;) {
      const states = await this.shown()
      try {
        const state = await states.get(key)
        // Otherwise it may have been deleted meanwhile.
        if (!states.isGone) return state
      } catch (error) {
        this.distrust(states, error)
        throw error
      }
    }
  }

  async * entries () {
    const states = await this.shown()
    try {
      yield * states.entries()
    } catch (error) {
      this.distrust(states, error)
      throw error
    }
  }

  /** The states that answer. Rejects if there are none. */
  async shown () {
    await this.started
    const states = this.old ?? this.states
    if (states === undefined) throw this.over()
    return states
  }

  /** Notes that a state cannot be read: then all are derived again. */
  distrust (states, error) {
    if (states !== this.states || !isUnreadable(error)) return
    this.doubt = error
    this.wake?.()
  }

  /**
   * Resolves once everything up to a change is in the states that answer. Rejects when it stops.
   *
   * @param {Promise<number>} found the change
   */
  whenDone (found) {
    return this.isStopping ? rejected(this.over()) : quiet(this.waiters.wait(found, () => this.tellWaiters()))
  }

  tellWaiters () {
    if (this.states !== undefined && this.old === undefined) this.waiters.reach(this.change)
  }

  /** Why nothing more happens. */
  over () {
    return this.failure ?? projectionOver()
  }

  stats () {
    const { definition: { name, version }, change, failure } = this
    const state = failure !== undefined ? 'failed' : this.isStopping ? 'stopped' : this.isLive && this.old === undefined ? 'live' : 'building'
    return {
      name,
      version,
      answers: (this.old ?? this.states)?.version ?? null,
      state,
      change,
      behind: Math.max(this.state.lastChange() - change, 0),
      keys: this.states?.keys ?? 0,
      ...failure !== undefined && { error: failure }
    }
  }

  // ---- ending

  /** Stops because it cannot go on. States that were not stored yet are not stored any more, but they still answer. */
  fail (error) {
    if (this.failure !== undefined || this.isStopping) return
    if (error.code === 'ERR_HYPER_CLOSED') return this.end()
    this.failure = error
    this.end()
    quiet(this.snapshots?.end(true) ?? Promise.resolve())
    this.failed(error)
  }

  end () {
    this.isStopping = true
    this.onStopping()
    this.onStarted()
    this.wake?.()
    this.stream?.end()
    this.waiters.end(this.over())
  }

  /** Stops, and stores what has changed. */
  async stop () {
    if (!this.isStopping) this.end()
    await this.work
    await this.sweeping
    if (this.failure !== undefined || this.states === undefined) return
    try {
      await this.snapshots?.end(false)
    } catch (error) {
      // What could not be stored is derived again.
      this.warn(error)
    }
  }
}

module.exports = Derivation
