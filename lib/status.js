'use strict'

/** Emits the events of `emitter.status`. */
class Status {
  /**
   * @param {import('node:events')} events `emitter.status`
   * @param {import('./async-context').Context} context in which the emitter was made
   */
  constructor (events, context) {
    this.events = events
    this.context = context
  }

  tell (event, ...args) {
    this.events.emit(event, ...args)
  }

  /**
   * Reports the progress of work that takes a while.
   *
   * @param {'opening' | 'index'} task
   * @param {{ number: number, total: number }} notice
   */
  progress (task, { number, total }) {
    this.tell('progress', { task, done: number, total })
  }

  /** Reports a failure that does not belong to a call. Unlike `error`, it needs no listener. */
  warn (error) {
    this.context.runInAsyncScope(this.events.emit, this.events, 'warning', error)
  }
}

module.exports = Status
