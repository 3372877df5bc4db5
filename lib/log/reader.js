'use strict'

const native = require('../native/addon')
const placeOf = require('../stores/resolve-store')
const { knownPeers } = require('../peers/address')
const { beginBatch } = require('../codec')
const { badArgument, beyond, closed, undecodable } = require('../errors')
const { quiet } = require('../callback')
const { Cursor } = require('./cursor')
const { WHOLE_VALUES } = require('../native/layout')
const Rows = require('../native/rows')

/** How to end what `iterate` gives. */
const LEAVING = Object.getPrototypeOf(iterate.prototype)

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
  const reader = { left: false, leave: undefined }
  const entries = iterate(parts, checkQuery(opts), reader)
  // Those of a generator wait for the `next` that is under way, which at the end of a live log may wait for ever.
  for (const method of ['return', 'throw']) {
    entries[method] = (value) => {
      reader.left = true
      reader.leave?.()
      return LEAVING[method].call(entries, value)
    }
  }
  return entries
}

async function * iterate (parts, { since, until, live, names, reverse, limit, raw, signal }, reader) {
  if (parts.closing) throw closed()
  if (limit === 0 || (until !== undefined && until <= since)) return
  let cursor
  let interrupt
  // One listener however long this goes on: a signal may live as long as the process.
  const abort = () => {
    cursor?.end()
    interrupt?.()
  }
  const orAborted = async (start) => {
    signal?.throwIfAborted()
    const value = await new Promise((resolve, reject) => {
      interrupt = resolve
      start(resolve, reject)
    })
    signal?.throwIfAborted()
    return value
  }
  reader.leave = abort
  signal?.addEventListener('abort', abort, { once: true })
  try {
    await orAborted((resolve, reject) => parts.ready.then(resolve, reject))
    if (reader.left) return
    checkStart(parts, since, live)
    cursor = new Cursor(parts, { from: reverse ? (until ?? parts.lastChange()) + 1 : since, reverse, live })
    for (;;) {
      const rows = await orAborted((resolve, reject) => cursor.fetch((error, rows) => error ? reject(error) : resolve(rows)))
      if (rows === undefined) return
      beginBatch(rows.bytes, rows.bytes.length)
      while (rows.advance()) {
        if (reverse ? rows.change <= since : until !== undefined && rows.change > until) return
        if (names !== undefined && !names.has(rows.name)) continue
        yield entryOf(parts, rows, raw)
        signal?.throwIfAborted()
        if (--limit === 0) return
      }
      if (!reverse && until !== undefined && cursor.from >= until) return
    }
  } finally {
    cursor?.end()
    signal?.removeEventListener('abort', abort)
  }
}

/** Whoever reads from behind the end would miss what comes until there, and not know it. */
function checkStart (parts, since, live) {
  const last = parts.lastChange()
  if (since <= last) return
  const error = beyond('since', since, last)
  if (!live) throw error
  parts.warn(error)
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
    entry.error = undecodable(error, entry.name, entry.change)
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
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function') throw badArgument('signal must be an AbortSignal')
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

/** The places of the nodes that nothing links to. */
function heads (parts) {
  return asked(parts, (id) => parts.core.askHeads(id), parseText)
}

function digest (parts) {
  return asked(parts, (id) => parts.core.askDigest(id), (answer) => answer.text)
}

function stats (parts) {
  const numbers = asked(parts, (id) => parts.core.askStats(id), parseText)
  const known = asked(parts, (id) => parts.core.askFact(id, 'peers'), remembered)
  return quiet(Promise.all([numbers, known]).then(([numbers, known]) => ({ ...numbers, known })))
}

/** The peers in the store's record; none if it is unreadable, which whoever dials is told. */
function remembered ({ text }) {
  try {
    return text == null ? [] : knownPeers(text)
  } catch {
    return []
  }
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
  return asked(parts, (id) => parts.core.askImport(id, place.path ?? '', place.port, opts?.identity === true), (answer) => answer.number, { progress: progressOf(opts) })
}

/** Lets the version of a log that peers hold take the place of ours; the log to which ours has moved. */
function adopt (parts, log, { key } = {}) {
  if (typeof log !== 'string' || log === '') return rejected(badArgument('adopt wants the id of a log'))
  if (key !== undefined && typeof key !== 'string') return rejected(badArgument('adopt wants a key as text, if any'))
  return asked(parts, (id) => parts.core.askAdoption(id, log, key), (answer) => answer.text)
}

/** The change stored under a name; undefined if there is none. */
function position (parts, name) {
  if (!isName(name)) return rejected(nameless())
  return asked(parts, (id) => parts.core.askFact(id, factOf(name)), ({ text }) => text == null ? undefined : Number(text))
}

/** Stores a change under a name. */
async function setPosition (parts, name, change) {
  if (!isName(name)) throw nameless()
  checkChange('position', change)
  // What a log ends with is known only once it is open.
  if (change > parts.lastChange()) await parts.ready
  if (change > parts.lastChange()) throw beyond('position', change, parts.lastChange())
  return asked(parts, (id) => parts.core.setFact(id, factOf(name), String(change)), () => undefined, { brief: true })
}

function isName (name) {
  return typeof name === 'string' && name !== ''
}

function nameless () {
  return badArgument('a position needs a name')
}

function factOf (name) {
  return `position:${name}`
}

function parseText (answer) {
  return JSON.parse(answer.text)
}

function progressOf (opts) {
  const { onProgress } = opts ?? {}
  return typeof onProgress === 'function' ? ({ number, total }) => onProgress({ done: number, total }) : undefined
}

module.exports = { read, get, heads, digest, stats, verify, position, setPosition, importFrom, adopt }
