'use strict'

const native = require('./native')
const placeOf = require('./place')
const { beginBatch } = require('./codec')
const { badArgument } = require('./errors')
const { quiet } = require('./promised')
const { Cursor } = require('./cursor')
const { WHOLE_VALUES } = require('./packed')
const Rows = require('./rows')

/**
 * Reading what is stored: the emitter as an event store.
 *
 * @typedef {object} Entry one stored event
 * @property {number} change its place in this store, from 1
 * @property {string} key
 * @property {string} log whose log it is in
 * @property {number} seq its place in that log, from 1
 * @property {number} [time] milliseconds since 1970 at its emitter; absent on events of 1.x
 * @property {string[]} links keys of its causes
 * @property {string} [name] absent when the node holds no event
 * @property {*} [payload] decoded; absent when there is no codec, or it does not decode
 * @property {Buffer} [raw] in place of the payload
 * @property {Error} [error] why it does not decode
 */

/**
 * @param {object} parts
 * @param {object} [opts]
 * @param {number} [opts.since] only changes after this one
 * @param {number} [opts.until] only changes up to this one
 * @param {boolean} [opts.live] wait for more at the end, until the emitter closes
 * @param {string | Iterable<string>} [opts.names] only these events
 * @param {boolean} [opts.reverse] the latest first
 * @param {number} [opts.limit] so many at the most
 * @param {boolean} [opts.raw] do not decode
 * @param {AbortSignal} [opts.signal]
 * @returns {AsyncGenerator<Entry>}
 */
function read (parts, opts) {
  return iterate(parts, checkQuery(opts))
}

async function * iterate (parts, { since, until, live, names, reverse, limit, raw, signal }) {
  if (limit === 0 || (until !== undefined && until <= since)) return
  await parts.ready
  const cursor = new Cursor(parts, { from: reverse ? (until ?? parts.lastChange()) + 1 : since, reverse, live })
  const abort = () => cursor.end()
  signal?.addEventListener('abort', abort, { once: true })
  try {
    for (;;) {
      signal?.throwIfAborted()
      const rows = await nextRows(cursor, parts, signal)
      signal?.throwIfAborted()
      if (rows === undefined) return
      beginBatch(rows.bytes, rows.bytes.length)
      while (rows.advance()) {
        if (reverse ? rows.change <= since : until !== undefined && rows.change > until) return
        if (names !== undefined && !names.has(rows.name)) continue
        yield entryOf(parts, rows, raw)
        if (--limit === 0) return
      }
      if (!reverse && until !== undefined && cursor.from >= until) return
    }
  } finally {
    cursor.end()
    signal?.removeEventListener('abort', abort)
  }
}

function nextRows (cursor, parts, signal) {
  return new Promise((resolve, reject) => {
    signal?.addEventListener('abort', () => resolve(undefined), { once: true })
    cursor.fetch((error, rows) => {
      // A live reader has heard everything when the emitter closes.
      if (error && !(cursor.live && parts.closing)) reject(error)
      else resolve(rows)
    })
  })
}

/** @returns {Entry} */
function entryOf (parts, rows, raw = false) {
  const entry = {
    change: rows.change,
    key: rows.key,
    log: rows.log,
    seq: rows.seq,
    time: rows.time,
    links: rows.causes,
    name: rows.name
  }
  if (raw || !rows.isEvent || parts.codec(entry.name) === undefined) {
    entry.raw = rows.body
    return entry
  }
  try {
    entry.payload = parts.decode(entry.name, rows.bytes, rows.start, rows.end, rows.encoding)
  } catch (error) {
    entry.raw = rows.body
    entry.error = error
  }
  return entry
}

function checkQuery (opts) {
  if (opts !== undefined && (opts === null || typeof opts !== 'object')) throw badArgument('read wants an object of options')
  const { since = 0, until, live = false, names, reverse = false, limit = Infinity, raw = false, signal } = opts ?? {}
  checkChange('since', since)
  if (until !== undefined) checkChange('until', until)
  if (limit !== Infinity) checkChange('limit', limit)
  if (live && reverse) throw badArgument('read cannot be live and reverse')
  return {
    since, until, live, reverse, limit, raw, signal, names: names === undefined ? undefined : new Set(typeof names === 'string' ? [names] : names)
  }
}

function checkChange (name, value) {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw badArgument(`${name} must be a whole number from 0, not ${String(value)}`, typeof value === 'number' ? RangeError : TypeError)
  }
}

/** A promise of the answer to one question, put through `convert`. */
function asked (parts, ask, convert, how) {
  return quiet(new Promise((resolve, reject) => {
    parts.requests.ask(ask, (error, answer) => error ? reject(error) : resolve(convert(answer)), how)
  }))
}

function rejected (error) {
  return quiet(Promise.reject(error))
}

/** The node with a key, as 1.x's hyperlog gives nodes; undefined if there is none. */
function get (parts, key) {
  if (typeof key !== 'string' || !/^[0-9a-f]{64}$/.test(key)) {
    return rejected(badArgument(`${String(key)} is not a node key: 64 lowercase hex digits expected`))
  }
  return asked(parts, (id) => parts.core.askNode(id, key, WHOLE_VALUES), ({ rows: packed }) => {
    if (!packed) return undefined
    const rows = new Rows(parts.core, parts.tables, packed)
    rows.advance()
    return rows.node()
  })
}

/** The nodes that nothing links to. */
function heads (parts) {
  const keys = asked(parts, (id) => parts.core.askHeads(id), parseText)
  return quiet(keys.then((heads) => Promise.all(heads.map(({ key }) => get(parts, key)))))
}

function digest (parts) {
  return asked(parts, (id) => parts.core.askDigest(id), (answer) => answer.text)
}

function stats (parts) {
  return asked(parts, (id) => parts.core.askStats(id), parseText)
}

function verify (parts, opts) {
  return asked(parts, (id) => parts.core.askVerify(id), parseText, { progress: progressOf(opts) })
}

/** Copies another store into this log: a folder of ours, or a database of the caller's that 1.x or this module wrote. */
function importFrom (parts, source, opts) {
  let place
  try {
    place = placeOf(native, source, { keepOpen: true })
    if (place.path === undefined && place.port === undefined) throw badArgument('importFrom wants a database or the path of a store')
  } catch (error) {
    return rejected(error)
  }
  return asked(parts, (id) => parts.core.askImport(id, place.path ?? '', place.port), (answer) => answer.number, { progress: progressOf(opts) })
}

function position (parts, name, change) {
  if (typeof name !== 'string' || name === '') return rejected(badArgument('a position needs a name'))
  const fact = `position:${name}`
  if (change === undefined) {
    return asked(parts, (id) => parts.core.askFact(id, fact), ({ text }) => text == null ? undefined : Number(text))
  }
  try {
    checkChange('position', change)
  } catch (error) {
    return rejected(error)
  }
  return asked(parts, (id) => parts.core.setFact(id, fact, String(change)), () => undefined, { brief: true })
}

function parseText (answer) {
  return JSON.parse(answer.text)
}

function progressOf (opts) {
  const { onProgress } = opts ?? {}
  return typeof onProgress === 'function' ? ({ number, total }) => onProgress({ done: number, total }) : undefined
}

module.exports = { read, get, heads, digest, stats, verify, position, importFrom }
