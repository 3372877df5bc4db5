'use strict'

const { inContext } = require('../async-context')
const { closed, failure } = require('../errors')

/** Requests to the native half, each answered by one notice with its id. */
class Requests {
  /** @param {import('../lifecycle/process-hold')} hold */
  constructor (hold) {
    this.hold = hold
    this.waiting = new Map()
    this.last = 0
    /** How many keep the process alive, and for how many closing waits. */
    this.holding = 0
    this.brief = 0
    this.closed = false
    this.whenBrief = undefined
  }

  /** Whether the process has to wait for an answer. */
  get busy () {
    return this.holding > 0
  }

  /**
   * @param {(id: number) => void} ask
   * @param {(error: Error | null, answer?: object) => void} callback
   * @param {object} how
   * @param {boolean} [how.hold] keeps the process alive
   * @param {boolean} [how.brief] whether it is answered soon; the emitter is not closed before that
   * @param {(notice: object) => void} [how.progress]
   * @returns {number | undefined} the id that `ask` was given, if it was called
   */
  ask (ask, callback, { hold = true, brief = false, progress } = {}) {
    if (this.closed) {
      process.nextTick(callback, closed())
      return undefined
    }
    // Ids wrap after 2^32 requests; such old ones have been answered.
    const id = this.last = (this.last + 1) >>> 0 || 1
    this.waiting.set(id, { callback: inContext(callback), progress: progress && inContext(progress), hold, brief })
    try {
      ask(id)
    } catch (error) {
      // A refused request gets no answer.
      this.waiting.delete(id)
      throw error
    }
    if (brief) this.brief++
    if (!hold) return id
    this.holding++
    this.hold.refresh()
    return id
  }

  /** Makes the last request, after {@link close}. */
  finish (ask, callback) {
    this.closed = false
    this.ask(ask, callback)
    this.closed = true
  }

  /** Passes on an answer. */
  answer (notice) {
    const request = this.waiting.get(notice.id)
    if (request === undefined) return
    this.waiting.delete(notice.id)
    if (request.hold) this.holding--
    if (request.brief) this.brief--
    try {
      if (notice.code === undefined) request.callback(null, notice)
      else request.callback(failure(notice))
    } finally {
      if (this.brief === 0) this.whenBrief?.()
    }
  }

  /** Accepts no more requests; calls back when the brief ones are answered. */
  close (callback) {
    this.closed = true
    this.whenBrief = () => {
      this.whenBrief = undefined
      callback()
    }
    if (this.brief === 0) this.whenBrief()
  }

  /** Passes on the progress of a request. */
  progress (notice) {
    this.waiting.get(notice.id)?.progress?.(notice)
  }
}

module.exports = Requests
