'use strict'

const { subscriptionOver } = require('../errors')

/** Milliseconds after which records that could not be stored are tried again. */
const TRY_AGAIN = 1000

/** Stores the records of a subscription in groups: after so many entries, or so much time, or at once if somebody waits for it. */
class Checkpoint {
  /**
   * @param {object} parts
   * @param {(records: { change: number, text?: string }[], callback: (error: Error | null) => void) => void} parts.write
   * @param {number} parts.every entries
   * @param {number} parts.within milliseconds
   * @param {() => { text: string, saved: () => void }} parts.snapshot the record of the subscription itself as it is now; `saved` is called when
   *   it is stored
   * @param {(error: Error) => void} parts.failed hears why the records could not be stored
   */
  constructor ({ write, every, within, snapshot, failed }) {
    this.write = write
    this.every = every
    this.within = within
    this.snapshot = snapshot
    this.failed = failed
    /** Other records that are stored with the next one, by change. */
    this.records = new Map()
    /** Called when the next one is stored. */
    this.waiting = []
    this.noted = 0
    this.timer = undefined
    this.writing = false
    this.ended = false
    this.flush = () => this.begin()
  }

  /** One more entry is done. */
  note () {
    this.noted++
    if (this.noted >= this.every) this.begin()
    else if (this.timer === undefined && !this.writing && !this.ended) this.timer = setTimeout(this.flush, this.within)
  }

  /** A record that is stored, or deleted, with the next ones. */
  put (change, text) {
    this.records.set(change, { change, text })
  }

  /**
   * Stores everything now.
   *
   * @param {(error?: Error) => void} callback called when all that has happened so far is durable; with an error if it will not be
   */
  now (callback) {
    if (this.ended) return process.nextTick(callback, subscriptionOver())
    this.waiting.push(callback)
    this.begin()
  }

  begin () {
    // What happens meanwhile goes into the next one, which follows at once if somebody waits, or much has happened.
    if (this.writing || this.ended) return
    clearTimeout(this.timer)
    this.timer = undefined
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
    else if (this.noted > 0 && this.timer === undefined && !this.writing) this.timer = setTimeout(this.flush, this.within)
  }

  tryAgain (error, records, waiting) {
    for (const record of records) {
      if (record.change > 0 && !this.records.has(record.change)) this.records.set(record.change, record)
    }
    this.waiting = [...waiting, ...this.waiting]
    this.timer = setTimeout(this.flush, TRY_AGAIN)
    this.failed(error)
  }

  /** Stores nothing more. */
  end () {
    this.ended = true
    clearTimeout(this.timer)
    for (const callback of this.waiting.splice(0)) callback(subscriptionOver())
  }
}

module.exports = Checkpoint
