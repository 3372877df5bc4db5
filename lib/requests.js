'use strict'

const { closed, failure } = require('./errors')

/** Questions to the native half, each answered by one notice with its id. */
class Requests {
  /** @param {() => void} held called when there is one more that holds the process */
  constructor (held) {
    this.held = held
    this.waiting = new Map()
    this.last = 0
    /** Those that hold the process. */
    this.holding = 0
    this.closed = false
  }

  /**
   * @param {(id: number) => void} ask
   * @param {(error: Error | null, answer?: object) => void} callback
   * @param {{ hold?: boolean, progress?: (notice: object) => void }} how
   */
  ask (ask, callback, { hold = true, progress } = {}) {
    if (this.closed) {
      process.nextTick(callback, closed())
      return
    }
    // Ids wrap after 2^32 questions; those of that time ago are answered.
    const id = this.last = (this.last + 1) >>> 0 || 1
    this.waiting.set(id, { callback, progress, hold })
    ask(id)
    if (!hold) return
    this.holding++
    this.held()
  }

  /** An answer has come. */
  answer (notice) {
    const request = this.waiting.get(notice.id)
    if (request === undefined) return
    this.waiting.delete(notice.id)
    if (request.hold) this.holding--
    if (notice.code === undefined) request.callback(null, notice)
    else request.callback(failure(notice))
  }

  /** Long work goes on. */
  progress (notice) {
    this.waiting.get(notice.id)?.progress?.(notice)
  }
}

module.exports = Requests
