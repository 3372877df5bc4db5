'use strict'

const { EventEmitter } = require('node:events')

const { EmitCallback, EmitPromise } = require('./async-context')
const { HyperError, badCodecs, howNotObject } = require('./errors')
const { quiet } = require('./callback')
const decide = require('./emitting/decide')
const { checkEvents } = require('./emitting/batch')
const { checkAppendOptions, demandsOf } = require('./emitting/demands')
const { topicName } = require('./delivery/listeners')
const { checkOptions } = require('./options')
const { loadSchema, compileText } = require('./schema')
const { checkDial } = require('./trust/options')
const { EventStream } = require('./log/event-stream')
const { cursorOf } = require('./log/portable-cursor')
const wire = require('./wiring')

/** The key of an emitter's parts. It is a symbol, so that the emitter's properties are those of 1.x. */
const kParts = Symbol('parts')

/**
 * The parts of an emitter.
 *
 * @param {HyperEmitter} emitter
 * @returns {import('./wiring').Parts}
 */
function partsOf (emitter) {
  return emitter[kParts]
}

/**
 * A persistent, replicated EventEmitter.
 *
 * @class
 * @param {string | object} [db] a folder, `':memory:'` or nothing, or a levelup or abstract-level database
 * @param {string | Buffer | object | import('stream').Readable} [schema] protobuf text, or an object of codecs
 * @param {object} [opts] `reconnectTimeout`, `maxEventSize`, `maxPending`; with `dial: false`, known peers are not dialled;
 *   `protobuf`, `strict` and `include` are passed to the schema compiler
 */
function HyperEmitter (db, schema, opts) {
  if (!(this instanceof HyperEmitter)) return new HyperEmitter(db, schema, opts)

  const options = checkOptions(opts)
  const { codecs, read } = loadSchema(schema, options)

  this._opts = options
  this._db = db
  this._closed = false
  this._listening = false
  this._peers = {}
  this.status = new EventEmitter()
  this.codecs = codecs
  this.messages = codecs

  const parts = wire(this, db, options, read)
  Object.defineProperty(this, kParts, { value: parts })
  this._hyperlog = parts.hyperlog
}

Object.setPrototypeOf(HyperEmitter, EventEmitter)

/** The messages of a schema, as `messages` of an emitter with it has them. */
HyperEmitter.compile = function compile (schema, opts) {
  return compileText(schema, opts ?? {})
}

/** The portable cursor of a node, as text. (Entries have it as `cursor`.) */
HyperEmitter.cursorOf = cursorOf

/** Restores the backup in a folder as a new store in another one: `{ change, digest, log }`. */
HyperEmitter.restore = async function restore (backup, folder, opts) {
  const helper = new HyperEmitter()
  try {
    return await partsOf(helper).maintenance.restore(backup, folder, opts)
  } finally {
    await helper.close()
  }
}

HyperEmitter.HyperError = HyperError

HyperEmitter.prototype = Object.create(EventEmitter.prototype, {
  constructor: { value: HyperEmitter, writable: true, configurable: true }
})

const methods = {
  /**
   * Appends an event. Invalid names and payloads are thrown immediately; `callback(err, node)` runs when the event is durable,
   * before any listener hears it. `options` may have `tags`, by which the event is found, and conditions
   * (lib/emitting/demands.js).
   */
  emit (name, payload, options, callback) {
    // As in 1.x, an argument that is neither options nor a callback is ignored.
    const given = typeof options === 'object' && options !== null ? options : undefined
    const told = typeof options === 'function' ? options : callback
    partsOf(this).emits.emit(name, payload, typeof told === 'function' ? new EmitCallback(told) : undefined, given)
    return this
  },

  /**
   * Like {@link emit}, but returns a promise of the node, which is also rejected for invalid arguments. A list of `{ name,
   * payload, tags }` is stored together or not at all; then the promise is of their nodes.
   */
  append (name, payload, options) {
    return quiet(new Promise((resolve, reject) => {
      const isList = Array.isArray(name)
      const given = isList ? payload : options
      checkAppendOptions(given, isList)
      const { emits } = partsOf(this)
      const receiver = new EmitPromise(resolve, reject)
      if (isList) emits.emitAll(checkEvents(name), receiver, demandsOf(given))
      else emits.emit(name, payload, receiver, given)
    }))
  },

  /**
   * Appends what `decider` decides about the events of a query. If such an event is stored in the meantime, `decider` decides
   * again.
   */
  decide (query, decider, options) {
    return quiet(decide(this, query, decider, options))
  },

  /**
   * Adds a listener `fn(message)`, or `fn(message, done)` if it has a second parameter: then no further event is delivered
   * until `done` is called.
   */
  on (name, fn) {
    return listen(this, name, fn)
  },

  addListener (name, fn) {
    return listen(this, name, fn)
  },

  prependListener (name, fn) {
    return listen(this, name, fn, { first: true })
  },

  once (name, fn) {
    return listen(this, name, fn, { once: true })
  },

  prependOnceListener (name, fn) {
    return listen(this, name, fn, { once: true, first: true })
  },

  /** Removes the first registration of `fn`. */
  removeListener (name, fn) {
    partsOf(this).listeners.remove(topicName(name), fn)
    return this
  },

  off (name, fn) {
    return this.removeListener(name, fn)
  },

  removeAllListeners (name) {
    partsOf(this).listeners.removeAll(name === undefined ? undefined : topicName(name))
    return this
  },

  listeners (name) {
    return partsOf(this).listeners.of(topicName(name))
  },

  /**
   * Like {@link listeners}, but with wrappers for those added by `once`: functions that remove themselves when called, and have
   * the property `listener`.
   */
  rawListeners (name) {
    return partsOf(this).listeners.rawOf(topicName(name))
  },

  listenerCount (name, fn) {
    const all = this.listeners(name)
    return fn === undefined ? all.length : all.filter((each) => each === fn).length
  },

  eventNames () {
    return partsOf(this).listeners.names()
  },

  /** Node's method. There is no warning about many listeners. */
  setMaxListeners: EventEmitter.prototype.setMaxListeners,
  getMaxListeners: EventEmitter.prototype.getMaxListeners,

  /**
   * Stops delivery to listeners after the current event, until {@link resume}. If a listener calls it, only this listener is
   * paused. Events stay in the log in the meantime.
   */
  pause () {
    partsOf(this).dispatcher.pause()
    return this
  },

  resume () {
    partsOf(this).dispatcher.resume()
    return this
  },

  isPaused () {
    return partsOf(this).dispatcher.isPaused
  },

  /** Sets the codec of one or several names: `(name, codec)`, an array of `{ name, codec }`, or an object of codecs. */
  registerCodec (name, codec) {
    const { codecs } = this
    if (typeof name === 'string') {
      codecs[name] = codec
    } else if (Array.isArray(name)) {
      for (const each of name) codecs[each.name] = each.codec
    } else if (typeof name === 'object') {
      if (name === null) throw badCodecs()
      for (const each of Object.keys(name)) codecs[each] = name[each]
    }
    return this
  },

  /** Resolves once the store is open. */
  ready () {
    return partsOf(this).state.askReady()
  },

  /** The emitter's id, stable for its store: `callback(err, id)`, or a promise. */
  getId (callback) {
    return partsOf(this).storeId.get(callback)
  },

  /**
   * Connects to a peer, and stays connected: `callback(err)`, or a promise. `how` says how the link must be protected: `key`,
   * `plain`, `tls`.
   */
  connect (port, host, how, callback) {
    ({ host, how, callback } = hostOptionsCallback('connect', host, how, callback))
    return partsOf(this).connections.connect(port, host, checkDial(how), callback)
  },

  /** Accepts peers: `callback(err, address)`, or a promise of the address. With `how.tls` it accepts TLS connections. */
  listen (port, host, how, callback) {
    ({ host, how, callback } = hostOptionsCallback('listen', host, how, callback))
    return partsOf(this).server.listen(port, host, how.tls, callback)
  },

  /**
   * Replicates over a stream of the user's own: `callback(err, peer)` once the link is established, or a promise of the peer.
   */
  handle (duplex, how, callback) {
    if (typeof how === 'function') [how, callback] = [undefined, how]
    return partsOf(this).userStreams.handle(duplex, how, callback)
  },

  /** Sets who may connect, like the option `peers`. Links that have lost their right end. */
  setPeers (peers) {
    partsOf(this).admission.set(peers)
    return this
  },

  /**
   * Sets whose logs are stored, like the options `authors`, `unsigned` and `revoked`. It replaces all three. What is stored
   * stays.
   */
  setTrust (trust) {
    partsOf(this).admission.setTrust(trust)
    return this
  },

  /** Sets whose plain links are accepted, like the option `plain`. */
  setPlain (plain) {
    partsOf(this).admission.setPlain(plain)
    return this
  },

  /**
   * A Duplex of `{ name, payload }`. It reads events that are stored from now on, after a change `from`, or with `{ from:
   * 'beginning' }` all events.
   */
  stream (opts) {
    return new EventStream(this, partsOf(this), opts)
  },

  /** An async iterable of stored events. */
  read (opts) {
    return partsOf(this).reader.read(opts)
  },

  /** A durable consumer: `handler(entry, context)` is called for each event of a query, at least once, also after a crash. */
  subscribe (...args) {
    return partsOf(this).consumers.subscribe(...args)
  },

  /** The stored records of a subscription that is not running: its parked entries, and how to reset it. */
  consumer (name) {
    return partsOf(this).consumers.stored(name)
  },

  /** States derived from the log by reducers: one, or one per key. */
  project (name, definition) {
    return partsOf(this).projections.project(name, definition)
  },

  /** What the store keeps of a projection that is not at work, and how to remove it. */
  projection (name) {
    return partsOf(this).projections.stored(name)
  },

  /** The nodes to which no other node links: their changes, keys, logs and seqs. */
  heads () {
    return partsOf(this).reader.heads()
  },

  /** The node with this key; undefined if there is none. */
  get (key) {
    return partsOf(this).reader.get(key)
  },

  /** A digest over all logs: equal on two emitters exactly when they hold the same. */
  digest () {
    return partsOf(this).reader.digest()
  },

  /**
   * Resolves to the change of the event that a portable cursor names, once it is stored here; with `delivered`, once listeners
   * have heard it. Rejects after `timeout` milliseconds.
   */
  caughtUp (cursor, opts) {
    return partsOf(this).arrivals.caughtUp(cursor, opts)
  },

  /** How far a named consumer has come: `position(name)` reads the change, `position(name, change)` stores it, durably. */
  position (name, change) {
    // By number of arguments: an undefined change must not turn storing into reading.
    if (arguments.length < 2) return partsOf(this).positions.get(name)
    return partsOf(this).positions.set(name, change)
  },

  /** What stored events were encoded with, and what of it this emitter's schema cannot read. */
  schemas () {
    return quiet(partsOf(this).schemaRecord.list())
  },

  /** Checks everything stored. `onProgress({ done, total })` reports progress. */
  verify (opts) {
    return partsOf(this).maintenance.verify(opts)
  },

  /** Makes a backup in a folder, or brings the one in it up to date: `{ change, digest, bytes, added }`. */
  backup (folder, opts) {
    return partsOf(this).maintenance.backup(folder, opts)
  },

  /** Copies a database that 1.x or this module wrote into this log; resolves to the number of new rows. */
  importFrom (source, opts) {
    return partsOf(this).maintenance.importFrom(source, opts)
  },

  /** Replaces our version of a log by that of the peers. Ours moves to a new log; resolves to its id. */
  adopt (log, opts) {
    return partsOf(this).maintenance.adopt(log, opts)
  },

  /** Runtime statistics. */
  stats () {
    return partsOf(this).maintenance.stats()
  },

  /** Stops delivery, stores what was emitted, and closes the store. */
  close (callback) {
    return partsOf(this).closing.close(callback)
  }
}

Object.defineProperty(HyperEmitter.prototype, 'publicKey', {
  /** The text of the emitter's public key; null without `identity`. */
  get () {
    return partsOf(this).publicKey
  },
  configurable: true
})

for (const [name, method] of Object.entries(methods)) HyperEmitter.prototype[name] = method

if (Symbol.asyncDispose) {
  Object.defineProperty(HyperEmitter.prototype, Symbol.asyncDispose, {
    value () {
      return this.close()
    },
    writable: true,
    configurable: true
  })
}

/** Parses `(host, how, callback)`, of which any may be left out. */
function hostOptionsCallback (method, host, how, callback) {
  if (typeof host === 'function') return { host: undefined, how: {}, callback: host }
  if (typeof how === 'function') [how, callback] = [undefined, how]
  if (host !== null && typeof host === 'object') [host, how] = [undefined, host]
  if (how === undefined || how === null) how = {}
  if (typeof how !== 'object') throw howNotObject(method, how)
  return { host, how, callback }
}

function listen (emitter, name, fn, how) {
  const { listeners, acks } = partsOf(emitter)
  // Within an emit's callback, its event is still to be delivered, and earlier ones are history.
  listeners.add(topicName(name), fn, { ...how, since: acks.current })
  return emitter
}

module.exports = HyperEmitter
