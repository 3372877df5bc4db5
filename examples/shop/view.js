'use strict'

const { EventEmitter, once } = require('node:events')

/** States by key, derived from the events of the log, in memory. */
class View extends EventEmitter {
  #emitter
  #names
  #states = new Map()
  #change = 0

  constructor (emitter, { init, key, on }) {
    super()
    this.setMaxListeners(0)
    this.#emitter = emitter
    this.#names = Object.keys(on)
    this.#follow(init, key, on)
  }

  async #follow (init, keyOf, on) {
    for await (const entry of this.#emitter.read({ names: this.#names, live: true })) {
      const key = keyOf(entry)
      const reduce = on[entry.name]
      this.#states.set(key, reduce(this.#states.get(key) ?? init, entry.payload, entry))
      this.#change = entry.change
      this.emit('event')
    }
  }

  async get (key) {
    return this.#states.get(key)
  }

  /** Resolves once all events that are stored now are in the states. */
  async caughtUp () {
    const last = await this.#emitter.read({ names: this.#names, reverse: true, limit: 1 }).next()
    if (last.done) return
    while (this.#change < last.value.change) await once(this, 'event')
  }
}

module.exports = (emitter, name, definition) => new View(emitter, definition)
