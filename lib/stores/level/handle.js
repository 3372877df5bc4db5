'use strict'

/**
 * A caller's Level database as the core's store: passes the core's requests (src/js/level.rs) to the database, and returns the
 * answers.
 */

const { adaptLevel, LevelAdapter } = require('./adapter')
const { unpackGet, unpackRanges, unpackBatch, packValues, packRows, EMPTY } = require('./packing')

/** A handler for each kind of request; `answer(error, reply)` is called once. */
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
 * @param {{ keepOpen?: boolean }} [how] `keepOpen`: whether the database stays open afterwards; read when it would be closed
 * @returns {object} a `LevelHandle`
 * @throws {TypeError} `ERR_HYPER_INVALID_ARG` if it is not a usable database
 */
function levelHandle (native, db, how = {}) {
  const adapter = adaptLevel(db)
  const { close } = adapter
  adapter.close = (done) => how.keepOpen ? done(null) : close.call(adapter, done)
  const handle = new native.LevelHandle((id, kind, packed) => {
    serve(adapter, kind, packed, (message, reply) => handle.answer(id, message, reply))
  })
  /** Closes a database that could not be opened as a store, because then no store closes it. */
  handle.abandon = (done) => adapter.close(done)
  return handle
}

module.exports = { adaptLevel, levelHandle, serve }
