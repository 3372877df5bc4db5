'use strict'

const { EventEmitter } = require('node:events')

const { badProjection, projectionOver, surface } = require('../errors')
const { quiet } = require('../callback')

/**
 * What `project` returns. Events: `live(version)` when the states of this version begin to answer, `caughtUp(change)`, and
 * `error(error)` when it cannot go on; without a listener for this, the emitter's `status` gets a `warning`.
 */
class Projection extends EventEmitter {
  #definition
  #context
  #derivation
  #state
  #arrivals
  #status
  #release
  #stopped

  /**
   * @param {object} parts
   * @param {import('./definition').Definition} parts.definition
   * @param {import('../async-context').Context} parts.context of the caller, in which reducers and listeners run
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../log/arrivals')} parts.arrivals
   * @param {import('../status')} parts.status
   * @param {() => void} parts.release called when it has stopped
   */
  constructor ({ definition, context, state, arrivals, status, release }) {
    super()
    this.#definition = definition
    this.#context = context
    this.#state = state
    this.#arrivals = arrivals
    this.#status = status
    this.#release = release
  }

  /** Starts the projection with what derives its states. */
  static start (projection, derivation) {
    projection.#derivation = derivation
    projection.#run(() => derivation.start())
  }

  /** Emits an event. Exceptions of listeners must not interrupt the reducers. */
  static tell (projection, event, ...args) {
    try {
      projection.emit(event, ...args)
    } catch (error) {
      surface(error)
    }
  }

  /** Reports why it cannot go on. */
  static fail (projection, error) {
    if (projection.listenerCount('error') > 0) Projection.tell(projection, 'error', error)
    else projection.#status.warn(error)
  }

  #run (action) {
    return this.#context.runInAsyncScope(action)
  }

  get name () {
    return this.#definition.name
  }

  get version () {
    return this.#definition.version
  }

  /**
   * The state of a key; without `key` in its definition, the one state. Resolves to undefined for a key without a state. After a
   * failure, it is the state before the event at which the projection has failed.
   *
   * @param {string | number} [key]
   */
  get (key) {
    return quiet(this.#get(key))
  }

  async #get (key) {
    const definition = this.#definition
    const isOne = definition.key === undefined
    if (isOne && key !== undefined) throw badProjection(definition.name, 'it has one state, so get takes no key')
    this.#checkOpen()
    const text = isOne ? '' : definition.checkKey(key)
    const state = await this.#derivation.get(text)
    return state === undefined && isOne ? definition.initial(text) : state
  }

  /** All keys with their states, in no particular order, each as it is when it is reached. */
  async * entries () {
    this.#checkOpen()
    yield * this.#derivation.entries()
  }

  #checkOpen () {
    if (this.#stopped !== undefined) throw projectionOver()
  }

  /**
   * Resolves once everything that is stored now, or everything up to the event of a cursor, is in the states that `get` returns.
   * Rejects when the projection stops, with the error if it has failed.
   *
   * @param {string | object} [cursor]
   */
  caughtUp (cursor) {
    return this.#run(() => this.#derivation.whenDone(this.#find(cursor)))
  }

  async #find (cursor) {
    await this.#state.ready
    return cursor === undefined ? this.#state.lastChange() : this.#arrivals.caughtUp(cursor)
  }

  /** How it stands. */
  stats () {
    return this.#derivation.stats()
  }

  /** Applies no more events, and stores what has changed. */
  stop () {
    this.#stopped ??= quiet(this.#run(async () => {
      await this.#derivation.stop()
      this.#release()
    }))
    return this.#stopped
  }
}

if (Symbol.asyncDispose) {
  Object.defineProperty(Projection.prototype, Symbol.asyncDispose, {
    value () {
      return this.stop()
    },
    writable: true,
    configurable: true
  })
}

module.exports = Projection
