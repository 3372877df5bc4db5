'use strict'

const { beginBatch } = require('../codec')
const Cursor = require('./cursor')

/**
 * The rows of a query, one after another; used by `read`, `stream` and `_hyperlog.createReadStream`.
 *
 * {@link advance} goes to the next fetched row. When there is none, {@link fetch} fetches more, or finds the end.
 *
 * @typedef {object} Bounds
 * @property {number} [since] only changes after this one
 * @property {number} [until] only changes up to this one
 * @property {boolean} [reverse] the latest first
 * @property {boolean} [live] wait for more at the end, until the emitter closes
 * @property {Set<string>} [names] only events with these names
 * @property {object} [filter] only events that match it
 * @property {number} [limit] most rows
 * @property {number} [wants] `WHOLE_VALUES`
 * @property {(change: number) => void} [atEnd] called each time a live query has to wait, with the change up to which it has
 *           searched
 */
class RowStream {
  /**
   * @param {import('./row-source')} source
   * @param {number} last the last change stored, where a reverse query starts
   * @param {Bounds} bounds
   */
  constructor (source, last, { since = 0, until = Infinity, reverse = false, live = false, names, filter, limit = Infinity, wants, atEnd }) {
    this.since = since
    this.until = until
    this.reverse = reverse
    this.names = names
    this.left = limit
    this.cursor = new Cursor(source, {
      from: reverse ? Math.min(until, last) + 1 : since, reverse, live, wants, filter, bound: reverse ? since : until, rows: limit, atEnd
    })
    /**
     * The current row, set by {@link advance}.
     *
     * @type {import('../native/rows') | undefined}
     */
    this.row = undefined
    this.fetching = false
    /** Whether no row follows. */
    this.ended = limit <= 0 || until <= since
  }

  /** Goes to the next row. Returns false if there is none: then the stream has ended, or rows have to be fetched. */
  advance () {
    const { row, names } = this
    if (row === undefined || this.ended) return false
    while (row.advance()) {
      const { change } = row
      if (this.reverse ? change <= this.since : change > this.until) break
      if (names !== undefined && !names.has(row.name)) continue
      if (--this.left === 0) this.finish()
      return true
    }
    // Do not wait for rows beyond the bounds.
    if (this.reverse ? this.cursor.from <= this.since + 1 : this.cursor.from >= this.until) this.finish()
    this.row = undefined
    return false
  }

  /**
   * Fetches rows; call it when {@link advance} returned false and the stream has not ended. At the end `ended` is set.
   *
   * @param {(error?: Error) => void} callback after {@link end} it may never be called
   */
  fetch (callback) {
    this.fetching = true
    this.cursor.fetch((error, rows) => {
      this.fetching = false
      if (error) return callback(error)
      if (rows === undefined) {
        this.finish()
      } else {
        beginBatch(rows.bytes, rows.bytes.length)
        this.row = rows
      }
      callback()
    })
  }

  /**
   * Implements `_read` of a Readable: pushes rows until it has enough.
   *
   * @param {import('node:stream').Readable} readable
   * @param {(row: import('../native/rows')) => *} itemOf what to push for a row; undefined skips the row
   * @param {() => void} atEnd called instead of pushing null
   */
  fill (readable, itemOf, atEnd = () => readable.push(null)) {
    if (this.fetching) return
    while (this.advance()) {
      const item = itemOf(this.row)
      if (item !== undefined && !readable.push(item)) return
    }
    // A reader called by `push` may have called this in the meantime, or destroyed the stream.
    if (this.fetching || readable.destroyed) return
    if (this.ended) return atEnd()
    this.fetch((error) => {
      if (readable.destroyed) return
      if (error) readable.destroy(error)
      else this.fill(readable, itemOf, atEnd)
    })
  }

  finish () {
    this.ended = true
    this.cursor.end()
  }

  /** Ends the stream, because nobody reads any more. */
  end () {
    this.row = undefined
    this.finish()
  }
}

module.exports = RowStream
