'use strict'

const { randomBytes } = require('node:crypto')

const { promised } = require('../callback')
const { readOnly } = require('../errors')

/** The emitter's id (`STOREID`), by which EventPeer announcements name it. It is not the log's id. */
class StoreId {
  /**
   * @param {object} emitter gets `id`
   * @param {object} core the native half
   * @param {import('../native/requests')} requests
   * @param {import('../lifecycle/store-state')} state
   */
  constructor (emitter, core, requests, state) {
    this.emitter = emitter
    this.core = core
    this.requests = requests
    this.state = state
    this.waiting = []
  }

  /** Calls `callback(err, id)`, immediately if the id is known; or returns a promise. */
  get (callback) {
    return promised(callback, (done) => {
      const { id } = this.emitter
      if (id !== undefined) {
        done(null, id)
        return
      }
      this.waiting.push(done)
      if (this.waiting.length === 1) this.load()
    })
  }

  load () {
    const { core, requests, emitter, state } = this
    const settle = (error, id) => {
      for (const done of this.waiting.splice(0)) error ? done(error) : done(null, id)
    }
    requests.ask((ask) => core.askFact(ask, 'storeId'), (error, answer) => {
      if (error) return settle(error)
      if (state.readOnly) return answer.text == null ? settle(readOnly()) : settle(null, answer.text)
      const id = answer.text ?? newId()
      // As in 1.x, it is written even if it was already there.
      requests.ask((ask) => core.setFact(ask, 'storeId', id), (error) => {
        if (error) return settle(error)
        emitter.id = id
        settle(null, id)
      }, { brief: true })
    })
  }
}

/** An id in the form of 1.x's cuids: `c` and 24 base-36 digits. */
function newId () {
  return 'c' + Array.from(randomBytes(24), (byte) => (byte % 36).toString(36)).join('')
}

module.exports = StoreId
