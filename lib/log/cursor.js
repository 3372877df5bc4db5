'use strict'

/** A position in the log that moves forwards, or backwards, one batch of rows at a time. */
class Cursor {
  /**
   * @param {import('./row-source')} source
   * @param {object} how
   * @param {number} how.from rows after this change; before it when `reverse`
   * @param {boolean} [how.reverse]
   * @param {boolean} [how.live] wait at the end
   * @param {number} [how.wants] `WHOLE_VALUES`
   * @param {object} [how.filter] only events that match it
   * @param {number} [how.bound] the change where a search ends
   * @param {number} [how.rows] most rows at a time
   * @param {(change: number) => void} [how.atEnd] called each time when there is nothing more for now
   */
  constructor (source, { from, reverse = false, live = false, wants = 0, filter, bound, rows, atEnd }) {
    this.source = source
    this.from = from
    this.reverse = reverse
    this.live = live
    this.wants = wants
    this.filter = filter
    this.bound = bound
    this.rows = rows
    this.atEnd = atEnd
    this.ended = false
    this.giveUp = undefined
  }

  /**
   * Fetches the next rows: `callback(error)`, or `callback(null, rows)` with at least one row, or `callback(null)` at the
   * end. One call at a time.
   *
   * @param {(error: Error | null, rows?: import('../native/rows')) => void} callback
   */
  fetch (callback) {
    if (this.ended) {
      callback(null)
      return
    }
    this.source.fetch(this, (error, rows) => {
      if (error) return this.fail(error, callback)
      this.from = rows.next
      if (rows.left > 0) {
        this.ended = rows.done && !this.live
        callback(null, rows)
      } else if (!rows.done) {
        // A search works in steps, and this step may have found nothing.
        this.fetch(callback)
      } else if (this.live && !this.ended) {
        this.wait(callback)
      } else {
        this.ended = true
        callback(null)
      }
    })
  }

  wait (callback) {
    this.giveUp = this.source.whenGrown(this.from, (error) => {
      this.giveUp = undefined
      if (error) this.fail(error, callback)
      else this.fetch(callback)
    })
    this.atEnd?.(this.from)
  }

  /** When the emitter closes, a live reader has got everything, so for it this is the end. */
  fail (error, callback) {
    if (!this.live || error.code !== 'ERR_HYPER_CLOSED') return callback(error)
    this.ended = true
    callback(null)
  }

  /** Ends the cursor: {@link fetch} will not be called again, and the last callback may be dropped. */
  end () {
    this.ended = true
    this.giveUp?.()
  }
}

module.exports = Cursor
