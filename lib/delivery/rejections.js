'use strict'

const { EventEmitter } = require('node:events')

const { surface } = require('../errors')

/** What happens when the promise that a listener has returned is rejected. */
class Rejections {
  /**
   * @param {object} emitter
   * @param {import('../status')} status
   * @param {boolean} [captured] the option `captureRejections`
   */
  constructor (emitter, status, captured) {
    this.emitter = emitter
    this.status = status
    // As Node's own emitters, which read their class when they are made.
    this.captured = captured ?? EventEmitter.captureRejections
  }

  /** The rejection is an exception of the listener's, unless `captureRejections` asks for it. */
  raise (reason, name, payload) {
    if (!this.captured) return surface(reason)
    // Outside of the promise, where what these throw is an exception and no further rejection.
    process.nextTick(() => {
      const handler = this.emitter[EventEmitter.captureRejectionSymbol]
      if (typeof handler === 'function') handler.call(this.emitter, reason, name, payload)
      else this.status.tell('error', reason)
    })
  }
}

module.exports = Rejections
