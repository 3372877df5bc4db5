'use strict'

const { projectionOver } = require('../errors')
const { quiet } = require('../callback')
const { callBeforeExit, forgetBeforeExit } = require('../lifecycle/before-exit')
const { isTransient } = require('./faults')

/** Milliseconds after which storing is tried again. */
const TRY_AGAIN = 1000

/** Decides when what has changed is stored: one snapshot after the other. */
class Snapshots {
  /**
   * @param {object} parts
   * @param {() => Promise<void>} parts.take stores everything that has changed so far
   * @param {number} parts.within the longest time from a change to a snapshot, in milliseconds
   * @param {(error: Error) => void} parts.warn
   * @param {(error: Error) => void} parts.failed called when nothing can be stored any more
   */
  constructor ({ take, within, warn, failed }) {
    this.take = take
    this.within = within
    this.warn = warn
    this.failed = failed
    this.timer = undefined
    /** The snapshot that is being stored, and the one after it, if somebody waits for that. */
    this.current = undefined
    this.next = undefined
    this.isOver = false
    this.cancel = undefined
    this.flush = () => quiet(this.now())
  }

  /**
   * Notes that something has changed. This does not keep the process alive: if it has nothing else to do, everything is stored
   * now.
   */
  note () {
    if (this.timer !== undefined || this.isOver) return
    this.timer = setTimeout(this.flush, this.within).unref()
    callBeforeExit(this.flush)
  }

  stopWaiting () {
    clearTimeout(this.timer)
    this.timer = undefined
    forgetBeforeExit(this.flush)
  }

  /** Begins a snapshot, once the one before is stored. */
  async turn () {
    await this.current
    quiet(this.now())
  }

  /** Stores everything that has changed so far. */
  now () {
    if (this.isOver) return Promise.reject(projectionOver())
    if (this.current !== undefined) {
      this.next ??= this.current.then(() => {
        this.next = undefined
        return this.now()
      })
      return this.next
    }
    this.stopWaiting()
    this.current = this.store().finally(() => {
      this.current = undefined
    })
    return this.current
  }

  async store () {
    for (;;) {
      try {
        return await this.take()
      } catch (error) {
        if (this.isOver) throw error
        if (!isTransient(error)) {
          this.failed(error)
          throw error
        }
        this.warn(error)
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, TRY_AGAIN).unref()
        this.cancel = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      if (this.isOver) throw projectionOver()
    }
  }

  /** Ends the snapshots, after a last one unless the projection has failed. */
  async end (hasFailed) {
    this.stopWaiting()
    this.isOver = true
    this.cancel?.()
    try {
      await this.current
    } catch {
      // Whatever could not be stored is derived again.
    }
    if (!hasFailed) await this.take()
  }
}

module.exports = Snapshots
