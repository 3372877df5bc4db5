'use strict'

const { EventEmitter } = require('node:events')

const { surface } = require('../errors')

/** Handles rejections of promises that listeners return. */
class Rejections {
  /**
   * @param {object} emitter
   * @param {import('../status')} status
   * @param {boolean} [captured] the option `captureRejections`
   */
  constructor (emitter, status, captured) {
    this.emitter = emitter
    this.status = status
    // Like Node's own emitters, which read the property of their class when they are created.
    this.captured = captured ?? EventEmitter.captureRejections
  }

  /** Raises the rejection as an exception of the listener, unless it goes to a handler because of `captureRejections`. */
  raise (reason, name, payload) {
    if (!this.captured) return surface(reason)
    // Outside the promise, so that what the handlers throw is an exception, not another rejection.
    process.nextTick(() => {
      const handler = this.emitter[EventEmitter.captureRejectionSymbol]
      if (typeof handler === 'function') handler.call(this.emitter, reason, name, payload)
      else this.status.tell('error', reason)
    })
  }
}

module.exports = Rejections
