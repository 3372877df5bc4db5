'use strict'

const { inContext } = require('../async-context')
const { closed, failure } = require('../errors')

/** Questions to the native half, each answered by one notice with its id. */
class Requests {
  /** @param {import('../lifecycle/process-hold')} hold */
  constructor (hold) {
    this.hold = hold
    this.waiting = new Map()
    this.last = 0
    /** How many hold the process, and how many closing waits for. */
    this.holding = 0
    this.brief = 0
    this.closed = false
    this.whenBrief = undefined
  }

  /** Whether an answer is awaited that the process must not end before. */
  get busy () {
    return this.holding > 0
  }

  /**
   * @param {(id: number) => void} ask
   * @param {(error: Error | null, answer?: object) => void} callback
   * @param {object} how
   * @param {boolean} [how.hold] holds the process
   * @param {boolean} [how.brief] soon answered: the emitter is not closed before that
   * @param {(notice: object) => void} [how.progress]
   * @returns {number | undefined} the id that `ask` was given, if it was called
   */
  ask (ask, callback, { hold = true, brief = false, progress } = {}) {
    if (this.closed) {
      process.nextTick(callback, closed())
      return undefined
    }
    // Ids wrap after 2^32 questions; those of that time ago are answered.
    const id = this.last = (this.last + 1) >>> 0 || 1
    this.waiting.set(id, { callback: inContext(callback), progress: progress && inContext(progress), hold, brief })
    try {
      ask(id)
    } catch (error) {
      // A question that is refused gets no answer.
      this.waiting.delete(id)
      throw error
    }
    if (brief) this.brief++
    if (!hold) return id
    this.holding++
    this.hold.refresh()
    return id
  }

  /** The last question, after {@link close}. */
  finish (ask, callback) {
    this.closed = false
    this.ask(ask, callback)
    this.closed = true
  }

  /** An answer has come. */
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

  /** Takes no more questions; calls back when the brief ones are answered. */
  close (callback) {
    this.closed = true
    this.whenBrief = () => {
      this.whenBrief = undefined
      callback()
    }
    if (this.brief === 0) this.whenBrief()
  }

  /** Long work goes on. */
  progress (notice) {
    this.waiting.get(notice.id)?.progress?.(notice)
  }
}

module.exports = Requests
