'use strict'

/**
 * A caller's Level database as the core's store: takes the core's requests from src/js/level.rs, asks the database, and
 * answers.
 */

const { adaptLevel, LevelAdapter } = require('./adapter')
const { unpackGet, unpackRanges, unpackBatch, packValues, packRows, EMPTY } = require('./packing')

/** What each kind of request does; `answer(error, reply)` is called once. */
const HANDLERS = [
  function get (adapter, packed, answer) {
    const { keys, limit } = unpackGet(packed)
    adapter.get(keys, limit, (error, values) => error ? answer(error) : answer(null, packValues(values)))
  },
  function ranges (adapter, packed, answer) {
    const ranges = unpackRanges(packed)
    const found = new Array(ranges.length)
    let left = ranges.length
    if (left === 0) return answer(null, packRows(found))
    ranges.forEach((range, index) => adapter.range(range, (error, rows) => {
      if (error) return answer(error)
      found[index] = rows
      if (--left === 0) answer(null, packRows(found))
    }))
  },
  function batch (adapter, packed, answer) {
    adapter.batch(unpackBatch(packed, LevelAdapter), answer)
  },
  function close (adapter, packed, answer) {
    adapter.close(answer)
  }
]

/**
 * Performs one packed request.
 *
 * @param {LevelAdapter} adapter
 * @param {number} kind
 * @param {Buffer} packed
 * @param {(message: string | null, reply: Buffer) => void} answer called once
 */
function serve (adapter, kind, packed, answer) {
  let open = true
  const once = (error, reply = EMPTY) => {
    if (!open) return
    open = false
    if (error) answer(String(error.message || error), EMPTY)
    else answer(null, reply)
  }
  try {
    HANDLERS[kind](adapter, packed, once)
  } catch (error) {
    once(error)
  }
}

/**
 * The native end of a database, for the constructor of the core.
 *
 * @param {{ LevelHandle: Function }} native the addon
 * @param {object} db
 * @param {{ keepOpen?: boolean }} [how] `keepOpen`: the database stays open afterwards; looked at when it would be closed
 * @returns {object} a `LevelHandle`
 * @throws {TypeError} `ERR_HYPER_INVALID_ARG` if it is no database that can be used
 */
function levelHandle (native, db, how = {}) {
  const adapter = adaptLevel(db)
  const { close } = adapter
  adapter.close = (done) => how.keepOpen ? done(null) : close.call(adapter, done)
  const handle = new native.LevelHandle((id, kind, packed) => {
    serve(adapter, kind, packed, (message, reply) => handle.answer(id, message, reply))
  })
  /** Closes a database that could not be opened as a store, and that therefore no store closes. */
  handle.abandon = (done) => adapter.close(done)
  return handle
}

module.exports = { adaptLevel, levelHandle, serve }
