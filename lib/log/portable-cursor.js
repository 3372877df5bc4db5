'use strict'

const { badCursor } = require('../errors')

/** A cursor as text: log, seq and key. Ids of logs may have colons. */
const TEXT = /^(.+):([1-9]\d{0,15}):([0-9a-f]{64})$/s

/** Most bytes of a log's id: no peer accepts a longer one. */
const MAX_LOG_ID = 256

/**
 * What names an event at every emitter. `change` is its number in one store only.
 *
 * @typedef {object} PortableCursor
 * @property {string} log the log it was appended to
 * @property {number} seq its number there
 * @property {string} [key] the key of its node; without it, the event is whatever is stored as that entry of the log
 */

/**
 * The cursor of an event as text.
 *
 * @param {PortableCursor} event a node, or an entry of `read`
 */
function cursorOf (event) {
  const { log, seq, key } = readCursor('cursorOf', event)
  if (key === undefined) throw badCursor('cursorOf', 'it has no key')
  return textOf(log, seq, key)
}

/** The same, from parts that are known to be valid. */
function textOf (log, seq, key) {
  return `${log}:${seq}:${key}`
}

/**
 * A cursor given by a user: its text, a node, or an entry.
 *
 * @param {string} what its name in errors
 * @param {*} given
 * @returns {PortableCursor}
 */
function readCursor (what, given) {
  const { log, seq, key } = typeof given === 'string' ? fromText(what, given) : given ?? {}
  if (typeof log !== 'string' || log === '') throw badCursor(what, 'it names no log')
  if (Buffer.byteLength(log) > MAX_LOG_ID) throw badCursor(what, `the id of its log has more than ${MAX_LOG_ID} bytes`)
  if (!Number.isSafeInteger(seq) || seq < 1) throw badCursor(what, 'its seq is not a whole number from 1')
  if (key !== undefined && (typeof key !== 'string' || !/^[0-9a-f]{64}$/.test(key))) throw badCursor(what, 'its key is not 64 lowercase hex digits')
  return { log, seq, key }
}

/**
 * Whether a cursor names this event.
 *
 * @param {PortableCursor} cursor
 * @param {PortableCursor} event with its key
 */
function isAt (cursor, { log, seq, key }) {
  return cursor.key === undefined ? log === cursor.log && seq === cursor.seq : key === cursor.key
}

function fromText (what, text) {
  const [, log, seq, key] = TEXT.exec(text) ?? []
  if (log === undefined) throw badCursor(what, 'the text is not log:seq:key')
  return { log, seq: Number(seq), key }
}

module.exports = { cursorOf, isAt, readCursor, textOf }
