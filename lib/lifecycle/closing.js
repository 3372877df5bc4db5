'use strict'

const { promised } = require('../callback')
const { closed } = require('../errors')
const { unclosed } = require('./abandoned')

/**
 * Closes an emitter: delivery stops and links end; then emitted events are stored, the store is closed, and finally `close`
 * calls back.
 */
class Closing {
  /**
   * @param {object} parts
   * @param {object} parts.emitter
   * @param {object} parts.core the native half
   * @param {object} [parts.level] the native half's handle of the caller's Level database
   * @param {import('./store-state')} parts.state
   * @param {import('./process-hold')} parts.hold
   * @param {import('../status')} parts.status
   * @param {import('../native/turn-scheduler')} parts.scheduler
   * @param {import('../native/requests')} parts.requests
   * @param {import('../native/acks')} parts.acks
   * @param {import('../native/emit-buffer').EmitBuffer} parts.buffer
   * @param {import('../emitting/schema-stream')} parts.schemaStream
   * @param {import('../emitting/schema-record')} parts.schemaRecord
   * @param {import('../delivery/dispatcher')} parts.dispatcher
   * @param {import('../peers/connections')} parts.connections
   * @param {import('../peers/server')} parts.server
   * @param {import('../peers/streams').Streams} parts.streams
   * @param {import('../log/growth')} parts.growth
   * @param {import('../consumers')} parts.consumers
   * @param {import('../projections')} parts.projections
   */
  constructor ({
    emitter, core, level, state, hold, status, scheduler, requests, acks, buffer, schemaStream, schemaRecord, dispatcher, connections,
    server, streams, growth, consumers, projections
  }) {
    this.emitter = emitter
    this.core = core
    this.level = level
    this.state = state
    this.hold = hold
    this.status = status
    this.scheduler = scheduler
    this.requests = requests
    this.acks = acks
    this.buffer = buffer
    this.schemaStream = schemaStream
    this.schemaRecord = schemaRecord
    this.dispatcher = dispatcher
    this.connections = connections
    this.server = server
    this.streams = streams
    this.growth = growth
    this.consumers = consumers
    this.projections = projections
    this.begun = false
    this.callbacks = []
  }

  close (callback) {
    const { emitter } = this
    // As in 1.x, the callback never gets arguments: a failure goes to `status`, or rejects the promise.
    const tell = (error) => {
      if (error) this.status.warn(error)
      callback.call(emitter)
    }
    return promised(typeof callback === 'function' ? tell : undefined, (done) => {
      if (this.state.closed) {
        process.nextTick(done)
        return
      }
      this.callbacks.push(done)
      if (this.begun) return
      this.begun = true
      const { consumers, projections } = this
      // Running handlers may still append, and read projections.
      if (consumers.isBusy || projections.isBusy) consumers.stop().then(() => projections.stop()).then(() => this.begin())
      else this.begin()
    })
  }

  /** Stops delivery and links, and stores emitted events. */
  begin () {
    this.state.closing = true
    this.emitter._closed = true
    this.dispatcher.stop()
    this.schemaStream.close()
    this.connections.end()
    this.server.end()
    this.emitter.changeStream?.destroy()
    this.buffer.flush()
    // Readers get what is already there.
    this.growth.hurry()
    // First waits for records that are being written, because nothing can be written after this.
    this.schemaRecord.settle(() => this.requests.close(() => this.closeStore()))
    this.hold.refresh()
  }

  closeStore () {
    this.requests.finish((id) => this.core.close(id), (error) => this.closeDatabase(error))
  }

  /** Closes the caller's database if it could not be opened as a store. Otherwise the native half closes it with the store. */
  closeDatabase (error) {
    const { level } = this
    this.level = undefined
    if (this.state.failed === undefined || level === undefined) return this.finish(error)
    level.abandon((failure) => this.finish(error || failure))
  }

  /**
   * Called when the store is closed, or has failed to close. Calls back when all emits have been answered, so that no answer is
   * lost.
   */
  finish (error) {
    if (this.acks.pending > 0) {
      this.scheduler.schedule()
      setImmediate(() => this.finish(error))
      return
    }
    this.state.closed = true
    this.state.settleReady(closed())
    unclosed.unregister(this.hold)
    this.streams.destroy()
    this.core.release()
    this.hold.end()
    process.nextTick(() => this.status.tell('closed'))
    for (const done of this.callbacks.splice(0)) process.nextTick(done, error)
  }
}

module.exports = Closing
