'use strict'

const changeStream = require('../delivery/change-stream')

/** Reports the progress and result of opening the store. */
class Opening {
  /**
   * @param {object} parts
   * @param {object} parts.emitter gets `changes` and `changeStream`
   * @param {import('./store-state')} parts.state
   * @param {import('../status')} parts.status
   * @param {import('../native/acks')} parts.acks
   * @param {import('../delivery/dispatcher')} parts.dispatcher
   */
  constructor ({ emitter, state, status, acks, dispatcher }) {
    this.emitter = emitter
    this.state = state
    this.status = status
    this.acks = acks
    this.dispatcher = dispatcher
  }

  onProgress (notice) {
    this.status.progress('opening', notice)
  }

  onReady ({ text: logId, number: lastChange }) {
    const { state, emitter } = this
    state.opened(logId, lastChange)
    if (state.closing) return
    emitter.changeStream = emitter.changes = changeStream(this.dispatcher)
    state.settleReady()
    this.status.tell('ready')
  }

  onFailed (error) {
    const { state, status } = this
    state.failedToOpen(error)
    state.settleReady(error)
    // After the callbacks of emits: if none of them was told, the failure must not go unnoticed.
    setImmediate(() => {
      const told = state.readyAsked || this.acks.refused > 0
      if (!state.closing && (!told || status.events.listenerCount('error') > 0)) status.tell('error', error)
    })
  }
}

module.exports = Opening
