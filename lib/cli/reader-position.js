'use strict'

/**
 * How often a reader's position is written to the store, in milliseconds. After a crash, at most the events printed since then
 * are printed again. Writing more often would only wear the disk.
 */
const SAVE_MS = 1000

/** How far a reader has come in a store. */
class ReaderPosition {
  /**
   * @param {import('../..')} hyper
   * @param {string|undefined} name undefined if the position is not kept (a store in memory)
   * @param {() => Promise<void>} flush resolves when what was printed so far has left the process
   */
  constructor (hyper, name, flush) {
    this._hyper = hyper
    this._name = name
    this._flush = flush
    this._saved = undefined
    this._saving = null
    this._waiting = []
    /** The last change printed. */
    this.change = 0
  }

  /**
   * Where to start.
   * @param {boolean} fromScratch
   * @param {number} end the last change stored, where a reader with a new name starts
   */
  async start (fromScratch, end) {
    this._saved = this._name === undefined ? undefined : await this._hyper.position(this._name)
    // A position beyond the end belongs to a store that was restored from an older copy.
    this.change = fromScratch ? 0 : Math.min(this._saved ?? end, end)
    if (this._name !== undefined) {
      this._timer = setInterval(() => this.save().catch(() => {}), SAVE_MS)
      this._timer.unref()
    }
    return this.change
  }

  /** @param {number} change printed */
  at (change) {
    this.change = change
    if (this._waiting.length > 0) {
      this._waiting = this._waiting.filter(({ target, resolve }) => change < target || resolve())
    }
  }

  /** Resolves when `target` has been printed. */
  reached (target) {
    return new Promise((resolve) => {
      if (this.change >= target) resolve()
      else this._waiting.push({ target, resolve })
    })
  }

  /** Resolves when the position is in the store. */
  async save () {
    while (this._saving) await this._saving
    if (this._name === undefined || this._saved === this.change) return
    this._saving = this._save()
    try {
      await this._saving
    } finally {
      this._saving = null
    }
  }

  async _save () {
    const { change } = this
    await this._flush()
    await this._hyper.position(this._name, change)
    this._saved = change
  }

  /** Saves for the last time. */
  async end () {
    clearInterval(this._timer)
    await this.save()
  }
}

/**
 * The last event stored; 0 if there is none.
 * @param {import('../..')} hyper
 * @param {string[]} [names] of these events
 * @returns {Promise<number>} its change
 */
async function lastChange (hyper, names) {
  let change = 0
  for await (const event of hyper.read({ reverse: true, limit: 1, ...(names && { names }) })) change = event.change
  return change
}

module.exports = { ReaderPosition, lastChange }
