'use strict'

const { asError, closed } = require('../errors')

/**
 * Waits for a schema that is read from a stream. Until then emits are deferred, and delivery is blocked, because nothing can be
 * decoded.
 */
class SchemaStream {
  /**
   * @param {object} parts
   * @param {import('./deferred-queue')} parts.deferred
   * @param {import('../delivery/dispatcher')} parts.dispatcher
   * @param {import('../native/turn-scheduler')} parts.scheduler
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../status')} parts.status
   */
  constructor ({ deferred, dispatcher, scheduler, state, status }) {
    this.deferred = deferred
    this.dispatcher = dispatcher
    this.scheduler = scheduler
    this.state = state
    this.status = status
  }

  /** @param {Promise<*>} read settles when the schema has been read and compiled, or has failed */
  waitFor (read) {
    this.deferred.defer()
    this.dispatcher.blocked = true
    read.then(() => this.end(), (thrown) => this.end(asError(thrown)))
  }

  /** Stops waiting for the schema, because the emitter closes. */
  close () {
    this.end(closed())
  }

  end (fault) {
    // The stream may end, or fail, after the emitter has been closed.
    if (!this.deferred.deferring) return
    this.dispatcher.blocked = false
    this.deferred.release(fault)
    this.scheduler.schedule()
    if (fault !== undefined && !this.state.closing) process.nextTick(() => this.status.tell('error', fault))
  }
}

module.exports = SchemaStream
