'use strict'

const { EventEmitter } = require('node:events')

const { EmitCallback, EmitPromise } = require('./async-context')
const { HyperError, badArgument } = require('./errors')
const { quiet } = require('./callback')
const { topicName } = require('./delivery/listeners')
const { checkOptions } = require('./options')
const { loadSchema, compileText } = require('./schema')
const Hyperlog = require('./log/hyperlog')
const Parts = require('./internals')
const { EventStream } = require('./log/event-stream')
const reading = require('./log/reader')

/** Everything that is not 1.x's to see. */
const kParts = Symbol('parts')

/**
 * A persistent, replicated EventEmitter.
 *
 * @class
 * @param {string | object} [db] a folder, `':memory:'` or nothing, or a levelup or abstract-level database
 * @param {string | Buffer | object | import('stream').Readable} [schema] protobuf text, or an object of codecs
 * @param {object} [opts] `reconnectTimeout`, `maxEventSize`, `maxPending`; `dial: false` leaves known peers alone; `protobuf`
 *   and `include` are the schema compiler's
 */
function HyperEmitter (db, schema, opts) {
  if (!(this instanceof HyperEmitter)) return new HyperEmitter(db, schema, opts)

  const options = checkOptions(opts)
  const { codecs, later } = loadSchema(schema, options)

  this._opts = options
  this._db = db
  this._closed = false
  this._listening = false
  this._peers = {}
  this.status = new EventEmitter()
  this.codecs = codecs
  this.messages = codecs

  Object.defineProperty(this, kParts, { value: new Parts(this, db, options, later) })
  this._hyperlog = new Hyperlog(this[kParts])
  this[kParts].start()
}

Object.setPrototypeOf(HyperEmitter, EventEmitter)

/** The messages of a schema, as `messages` of an emitter with it has them. */
HyperEmitter.compile = function compile (schema, opts) {
  return compileText(schema, opts ?? {})
}

HyperEmitter.HyperError = HyperError

HyperEmitter.prototype = Object.create(EventEmitter.prototype, {
  constructor: { value: HyperEmitter, writable: true, configurable: true }
})

const methods = {
  /**
   * Appends an event. Faults of name and payload are thrown at once; `callback(err, node)` runs when the event is durable,
   * before any listener hears it.
   */
  emit (name, payload, callback) {
    this[kParts].emit(name, payload, typeof callback === 'function' ? new EmitCallback(callback) : undefined)
    return this
  },

  /** {@link emit} with a promise of the node, every fault included. */
  append (name, payload) {
    return quiet(new Promise((resolve, reject) => {
      this[kParts].emit(name, payload, new EmitPromise(resolve, reject))
    }))
  },

  /** `fn(message)`, or with a second parameter `fn(message, done)`: then nothing follows until `done` is called. */
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
    this[kParts].listeners.remove(topicName(name), fn)
    return this
  },

  off (name, fn) {
    return this.removeListener(name, fn)
  },

  removeAllListeners (name) {
    this[kParts].listeners.removeAll(name === undefined ? undefined : topicName(name))
    return this
  },

  listeners (name) {
    return this[kParts].listeners.of(topicName(name))
  },

  /** As {@link listeners}, but those added by `once` as functions that remove themselves when called, with `listener`. */
  rawListeners (name) {
    return this[kParts].listeners.rawOf(topicName(name))
  },

  listenerCount (name, fn) {
    const all = this.listeners(name)
    return fn === undefined ? all.length : all.filter((each) => each === fn).length
  },

  eventNames () {
    return this[kParts].listeners.names()
  },

  /** Kept for those who ask; there is no warning about many listeners. */
  setMaxListeners: EventEmitter.prototype.setMaxListeners,
  getMaxListeners: EventEmitter.prototype.getMaxListeners,

  /**
   * Stops delivery to listeners, after the current event, until {@link resume}; inside of a listener, to that one only.
   * Events stay in the log meanwhile.
   */
  pause () {
    this[kParts].dispatcher.pause()
    return this
  },

  resume () {
    this[kParts].dispatcher.resume()
    return this
  },

  isPaused () {
    return this[kParts].dispatcher.isPaused
  },

  /** Sets the codec of a name, or several: `(name, codec)`, an array of `{ name, codec }`, or an object of codecs. */
  registerCodec (name, codec) {
    const { codecs } = this
    if (typeof name === 'string') {
      codecs[name] = codec
    } else if (Array.isArray(name)) {
      for (const each of name) codecs[each.name] = each.codec
    } else if (typeof name === 'object') {
      if (name === null) throw badArgument('registerCodec wants a name and a codec, an array, or an object of codecs, not null')
      for (const each of Object.keys(name)) codecs[each] = name[each]
    }
    return this
  },

  /** Resolves once the store is open. */
  ready () {
    this[kParts].readyAsked = true
    return this[kParts].ready
  },

  /** The emitter's id, stable for its store: `callback(err, id)`, or a promise. */
  getId (callback) {
    return this[kParts].identity.get(callback)
  },

  /** Connects to a peer, and stays connected: `callback(err)`, or a promise. */
  connect (port, host, callback) {
    if (typeof host === 'function') [host, callback] = [undefined, host]
    return this[kParts].peers.connect(port, host, callback)
  },

  /** Accepts peers: `callback(err, address)`, or a promise of the address. */
  listen (port, host, callback) {
    if (typeof host === 'function') [host, callback] = [undefined, host]
    return this[kParts].server.listen(port, host, callback)
  },

  /** A Duplex of `{ name, payload }`: what is stored from now on, after a change `from`, or `{ from: 'beginning' }`. */
  stream (opts) {
    return new EventStream(this, this[kParts], opts)
  },

  /** An async iterable of what is stored. */
  read (opts) {
    return reading.read(this[kParts], opts)
  },

  /** The places of the nodes that nothing links to. */
  heads () {
    return reading.heads(this[kParts])
  },

  /** The node with this key; undefined if there is none. */
  get (key) {
    return reading.get(this[kParts], key)
  },

  /** A digest over all logs: equal on two emitters exactly when they hold the same. */
  digest () {
    return reading.digest(this[kParts])
  },

  /** Where a named consumer is: `position(name)` reads the change, `position(name, change)` sets it, durably. */
  position (name, change) {
    // A change that somebody failed to find must not turn storing into reading.
    if (arguments.length < 2) return reading.position(this[kParts], name)
    return quiet(reading.setPosition(this[kParts], name, change))
  },

  /** Checks everything stored. `onProgress({ done, total })` hears how far it is. */
  verify (opts) {
    return reading.verify(this[kParts], opts)
  },

  /** Copies a database that 1.x or this module wrote into this log; resolves to the number of new rows. */
  importFrom (source, opts) {
    return reading.importFrom(this[kParts], source, opts)
  },

  /** Lets the version of a log that peers hold take the place of ours, which moves to a new log; resolves to its id. */
  adopt (log, opts) {
    return reading.adopt(this[kParts], log, opts)
  },

  /** Numbers about the emitter. */
  stats () {
    return reading.stats(this[kParts])
  },

  /** Ends: nothing more is delivered, what was emitted is stored, then the store is closed. */
  close (callback) {
    return this[kParts].close(callback)
  }
}

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

function listen (emitter, name, fn, how) {
  const { listeners, acks } = emitter[kParts]
  // Inside an emit's callback: that event is still to come, those before it are history.
  listeners.add(topicName(name), fn, { ...how, since: acks.current })
  return emitter
}

module.exports = HyperEmitter
