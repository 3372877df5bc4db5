'use strict'

const { subscriptionOver } = require('../errors')
const { callBeforeExit, forgetBeforeExit } = require('../lifecycle/before-exit')

/** Milliseconds after which storing records is retried. */
const TRY_AGAIN = 1000

/**
 * Stores the records of a subscription in groups: after a number of entries, after some time, or immediately if somebody waits
 * for it.
 */
class Checkpoint {
  /**
   * @param {object} parts
   * @param {(records: { change: number, text?: string }[], callback: (error: Error | null) => void) => void} parts.write
   * @param {number} parts.every entries
   * @param {number} parts.within milliseconds
   * @param {() => { text: string, saved: () => void }} parts.snapshot the present record of the subscription itself; `saved` is
   *   called once it is stored
   * @param {(error: Error) => void} parts.failed called with the reason why the records could not be stored
   */
  constructor ({ write, every, within, snapshot, failed }) {
    this.write = write
    this.every = every
    this.within = within
    this.snapshot = snapshot
    this.failed = failed
    /** Other records, by change, that are stored with the next checkpoint. */
    this.records = new Map()
    /** Called when the next checkpoint is stored. */
    this.waiting = []
    this.noted = 0
    this.timer = undefined
    this.writing = false
    this.ended = false
    this.flush = () => this.begin()
  }

  /** Counts an entry that is done. */
  note () {
    this.noted++
    if (this.noted >= this.every) this.begin()
    else if (this.timer === undefined && !this.writing && !this.ended) this.wait()
  }

  /** Waits for more entries. This does not keep the process alive: if it has nothing else to do, everything is stored now. */
  wait () {
    this.timer = setTimeout(this.flush, this.within)
    this.timer.unref()
    callBeforeExit(this.flush)
  }

  stopWaiting () {
    clearTimeout(this.timer)
    this.timer = undefined
    forgetBeforeExit(this.flush)
  }

  /** Adds a record that is stored, or deleted, with the next checkpoint. */
  put (change, text) {
    this.records.set(change, { change, text })
  }

  /**
   * Stores everything now.
   *
   * @param {(error?: Error) => void} callback called once everything so far is durable; with an error if it cannot be stored
   */
  now (callback) {
    if (this.ended) return process.nextTick(callback, subscriptionOver())
    this.waiting.push(callback)
    this.begin()
  }

  begin () {
    // Later changes go into the next checkpoint, which follows immediately if somebody waits for it, or if there are many.
    if (this.writing || this.ended) return
    this.stopWaiting()
    this.writing = true
    this.noted = 0
    const { text, saved } = this.snapshot()
    const records = [{ change: 0, text }, ...this.records.values()]
    const waiting = this.waiting
    this.records = new Map()
    this.waiting = []
    this.write(records, (error) => {
      this.writing = false
      if (!error) this.stored(saved, waiting)
      else if (!this.ended) this.tryAgain(error, records, waiting)
      else for (const callback of waiting) callback(error)
    })
  }

  stored (saved, waiting) {
    saved()
    for (const callback of waiting) callback()
    if (this.ended) return
    if (this.waiting.length > 0 || this.noted >= this.every) this.begin()
    else if (this.noted > 0 && this.timer === undefined && !this.writing) this.wait()
  }

  tryAgain (error, records, waiting) {
    for (const record of records) {
      if (record.change > 0 && !this.records.has(record.change)) this.records.set(record.change, record)
    }
    this.waiting = [...waiting, ...this.waiting]
    this.timer = setTimeout(this.flush, TRY_AGAIN)
    this.failed(error)
  }

  /** Ends the checkpoints: nothing more is stored. */
  end () {
    this.ended = true
    this.stopWaiting()
    for (const callback of this.waiting.splice(0)) callback(subscriptionOver())
  }
}

module.exports = Checkpoint
