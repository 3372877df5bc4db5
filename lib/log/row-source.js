'use strict'

const Rows = require('../native/rows')
const { WHOLE_VALUES } = require('../native/layout')

/** Rows fetched at a time, and bytes of their values. */
const ROWS = 1024
const BYTES = 256 * 1024

/** Requests rows of the log from the native half. */
class RowSource {
  /**
   * @param {object} core the native half
   * @param {import('../native/requests')} requests
   * @param {import('./growth')} growth
   * @param {import('../status')} status
   */
  constructor (core, requests, growth, status) {
    this.core = core
    this.requests = requests
    this.growth = growth
    /** A search may have to build an index first. */
    this.progress = (notice) => status.progress('index', notice)
    /** The texts that the numbers in packed rows stand for. */
    this.tables = { names: [], logs: [] }
  }

  /**
   * The rows after a change, or before it when `reverse`. `rows.next` is the change at which to continue; `rows.done` says that
   * no rows follow.
   *
   * @param {object} where
   * @param {number} where.from
   * @param {boolean} where.reverse
   * @param {number} where.wants 0, or `WHOLE_VALUES`
   * @param {object} [where.filter] only events that match it, up to `bound`, at most `rows`
   * @param {number} [where.bound]
   * @param {number} [where.rows]
   * @param {(error: Error | null, rows?: Rows) => void} callback
   */
  fetch ({ from, reverse, wants, filter, bound, rows = ROWS }, callback) {
    const ask = filter === undefined
      ? (id) => this.core.askRows(id, from, reverse, ROWS, BYTES, wants)
      : (id) => this.core.askSearch(id, filter, from, bound, reverse, Math.min(rows, ROWS), BYTES, wants)
    this.requests.ask(ask, (error, answer) => {
      if (error) callback(error)
      else callback(null, new Rows(this.core, this.tables, answer.rows))
    }, { progress: filter && this.progress })
  }

  /**
   * The node with a key, as 1.x's hyperlog gives nodes; undefined if there is none.
   *
   * @param {string} key
   * @param {(error: Error | null, node?: object) => void} callback
   */
  node (key, callback) {
    this.requests.ask((id) => this.core.askNode(id, key, WHOLE_VALUES), (error, answer) => {
      if (error) return callback(error)
      if (!answer.rows) return callback(null)
      const rows = new Rows(this.core, this.tables, answer.rows)
      rows.advance()
      callback(null, rows.node())
    })
  }

  /**
   * The key of the node with a change; undefined if there is none.
   *
   * @param {number} change from 1
   * @param {(error: Error | null, key?: string) => void} callback
   */
  keyAt (change, callback) {
    this.requests.ask((id) => this.core.askRows(id, change - 1, false, 1, 1, 0), (error, answer) => {
      if (error) return callback(error)
      const rows = new Rows(this.core, this.tables, answer.rows)
      callback(null, rows.advance() && rows.change === change ? rows.key : undefined)
    })
  }

  /** Calls back once the log ends after a change. Returns a function that cancels the wait. */
  whenGrown (after, callback) {
    return this.growth.wait(after, callback)
  }
}

module.exports = RowSource
