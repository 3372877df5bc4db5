'use strict'

const { beyondEnd, namelessPosition } = require('../errors')
const { promisedAnswer, quiet } = require('../callback')
const { checkChange } = require('./query')

/** Changes stored under names: how far consumers have come. */
class Positions {
  /**
   * @param {object} core the native half
   * @param {import('../native/requests')} requests
   * @param {import('../lifecycle/store-state')} state
   */
  constructor (core, requests, state) {
    this.core = core
    this.requests = requests
    this.state = state
  }

  /** The change stored under a name; undefined if there is none. */
  get (name) {
    return quiet(this.read(name))
  }

  /** Stores a change under a name, durably. */
  set (name, change) {
    return quiet(this.write(name, change))
  }

  async read (name) {
    checkName(name)
    return promisedAnswer(this.requests, (id) => this.core.askFact(id, factOf(name)),
      ({ text }) => text == null ? undefined : Number(text))
  }

  async write (name, change) {
    checkName(name)
    checkChange('position', change)
    const { core, requests, state } = this
    // The end of the log is known only once it is open.
    if (change > state.lastChange()) await state.ready
    if (change > state.lastChange()) throw beyondEnd('position', change, state.lastChange())
    return promisedAnswer(requests, (id) => core.setFact(id, factOf(name), String(change)), () => undefined, { brief: true })
  }
}

function checkName (name) {
  if (typeof name !== 'string' || name === '') throw namelessPosition()
}

/** The name of the native half's record. */
function factOf (name) {
  return `position:${name}`
}

module.exports = Positions
