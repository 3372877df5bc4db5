'use strict'

const { EventEmitter } = require('node:events')

const native = require('./native/addon')
const { fast, codecFor, marks } = require('./codec')
const Acks = require('./native/acks')
const { Context } = require('./async-context')
const Dispatcher = require('./delivery/dispatcher')
const Identity = require('./peers/identity')
const Lag = require('./delivery/lag')
const { Bell, unclosed } = require('./lifetime')
const Loop = require('./native/pump')
const Peers = require('./peers/connections')
const Requests = require('./native/requests')
const Server = require('./peers/server')
const Slab = require('./native/pack-buffer')
const placeOf = require('./stores/resolve-store')
const changeStream = require('./delivery/change-stream')
const { Growth } = require('./log/cursor')
const { Listeners } = require('./delivery/listeners')
const { Ring, checkName, PLAIN, NODE } = require('./native/emit-buffer')
const { asError, badArgument, closed, coded, failure, surface, undecodable } = require('./errors')
const { MAX_EVENT_SIZE } = require('./options')
const { promised, quiet } = require('./callback')
const { refuseText, unencodable } = require('./unknown-events')

/** The id in notices of progress that belong to the opening of the store and to no request. */
const OPENING = 0

/** Emits that wait for a schema to be read from a stream. */
const MAX_EARLY = 64 * 1024

/** The parts of one emitter, how they hear of each other, and its life from opening to closed. */
class Parts {
  /**
   * @param {import('events')} emitter the HyperEmitter
   * @param {*} db
   * @param {object} options checked
   * @param {Promise<object>} [later] when the schema is still being read
   */
  constructor (emitter, db, options, later) {
    this.emitter = emitter
    this.options = options
    /** What belongs to nobody's request is told where the emitter was made. */
    this.context = new Context()
    const store = { keepOpen: false }
    const { path, port } = placeOf(native, db, store)
    const { maxEventSize, maxPending, reconnectTimeout, protobuf } = options
    /** Whether payloads are standard protobuf. */
    this.standard = protobuf === 'standard'
    const settings = { path, maxEventSize, maxPending, reconnectTimeout, standard: this.standard }
    const bell = new Bell()
    this.core = new native.Core(settings, bell.ring, port)
    this.port = port
    const slab = new Slab()
    const report = (error) => this.warn(error)
    this.requests = new Requests(() => this.loop.refresh())
    this.growth = new Growth(this)
    /** What is known of the numbers in packed rows. */
    this.tables = { names: [], logs: [] }
    this.acks = new Acks(this.core, slab, report)
    this.listeners = new Listeners((name, number) => this.core.setInterest(name, number))
    this.dispatcher = new Dispatcher({
      emitter,
      context: this.context,
      core: this.core,
      slab,
      hear: () => this.loop.hear(),
      listeners: this.listeners,
      decode: (name, bytes, start, end, mark) => this.decode(name, bytes, start, end, mark),
      report: (error, name, change) => this.warn(undecodable(error, name, change)),
      rejected: (reason, { topic, message }) => this.onRejected(reason, topic.name, message),
      lagOf: (entry) => new Lag(this, entry, this.dispatcher.change),
      wake: () => this.loop.wake()
    })
    this.loop = new Loop({
      core: this.core,
      acks: this.acks,
      dispatcher: this.dispatcher,
      context: this.context,
      notice: (notice) => this.hear(notice),
      isOpening: () => this.opening,
      needed: () => this.isBusy()
    })
    bell.answeredBy(this.loop)
    unclosed.register(emitter, { core: this.core, bell, timer: this.loop.hold, store }, this)
    this.ring = new Ring(this.core, options.maxEventSize ?? MAX_EVENT_SIZE, this.loop.wake)
    this.identity = new Identity(this)
    this.peers = new Peers(this)
    this.server = new Server(this)
    this.logId = null
    /** The last change when the store was opened; undefined before. */
    this.openedAt = undefined
    this.opening = true
    this.closing = false
    this.closedCallbacks = []
    this.closedAlready = false
    this.failed = undefined
    this.readyAsked = false
    // As Node's own emitters, which read their class when they are made.
    this.capturesRejections = options.captureRejections ?? EventEmitter.captureRejections
    this.early = undefined
    this.ready = quiet(new Promise((resolve, reject) => {
      this.settleReady = (error) => error ? reject(error) : resolve()
    }))
    if (later !== undefined) this.waitForSchema(later)
  }

  /** The emitter is complete: begin. */
  start () {
    if (this.options.dial !== false) this.peers.dialKnown()
  }

  /** The last change stored; 0 before the store is open. */
  lastChange () {
    // `ready` is heard a moment before the native half has the log at hand.
    return Math.max(this.core.changes(), this.openedAt ?? 0)
  }

  // ---- emitting

  /** `receiver.answer(error, node)` is called once the event is stored, or refused; there may be none. */
  emit (name, payload, receiver) {
    if (this.early !== undefined) {
      this.emitEarly(name, payload, receiver)
      return
    }
    const encoder = this.codec(name)
    if (name === 'EventPeer') checkEventPeer(payload)
    if (this.closing) {
      this.refuse(name, encoder, payload, receiver, closed())
      return
    }
    if (encoder === undefined) this.emitEncoded(name, payload, receiver === undefined ? PLAIN : NODE)
    else this.ring.append(name, encoder, payload, receiver === undefined ? PLAIN : NODE)
    this.acks.expect(receiver)
    if (!this.loop.held) this.loop.refresh()
  }

  /** An event without a codec: bytes or text. */
  emitEncoded (name, payload, ack) {
    if (typeof payload === 'string' && this.standard) refuseText(name, this.emitter.codecs)
    try {
      this.ring.appendEncoded(name, payload, ack, 0)
    } catch (error) {
      throw unencodable(name, payload, this.emitter.codecs, error)
    }
  }

  /** The codec registered for a name: an own property only, whatever else its object inherits. */
  codec (name) {
    const { codecs } = this.emitter
    const found = codecs[name]
    return found && Object.hasOwn(codecs, name) ? found : undefined
  }

  /** Throws what an emit would throw; otherwise answers `error` later. */
  refuse (name, encoder, payload, receiver, error) {
    checkName(name)
    const encoded = encoder === undefined ? payload : encoder.encode(payload)
    if (encoder === undefined && typeof payload === 'string' && this.standard) refuseText(name, this.emitter.codecs)
    try {
      this.ring.checkSize(name, Ring.byteLength(encoded))
    } catch (error) {
      throw encoder === undefined ? unencodable(name, payload, this.emitter.codecs, error) : error
    }
    if (receiver !== undefined) process.nextTick(() => receiver.answer(error))
  }

  decode (name, bytes, start, end, mark) {
    const decoder = this.codec(name)
    if (decoder === undefined) return bytes.subarray(start, end)
    let pair = fast(decoder)
    if (pair === null) return decoder.decode(bytes.subarray(start, end))
    if (pair.encoding !== mark && pair.alias !== mark) {
      if (mark > marks.LAST) throw coded('ERR_HYPER_DECODE', `encoding ${mark} is not known to this version`)
      pair = fast(codecFor(decoder, mark))
    }
    return pair.read(bytes, start, end)
  }

  // ---- a schema that is still being read

  waitForSchema (later) {
    this.early = []
    this.dispatcher.blocked = true
    later.then(() => this.emitWaiting(), (thrown) => this.emitWaiting(asError(thrown)))
  }

  emitEarly (name, payload, receiver) {
    if (this.early.length >= MAX_EARLY) {
      throw coded('ERR_HYPER_BACKLOG', `${MAX_EARLY} emits wait for the schema to be read: wait for ready() before emitting more`)
    }
    this.early.push({ name, payload, receiver })
  }

  /** `settled(stored)` once every emit made so far, also one that waits for the schema, has been answered. */
  afterEmits (settled) {
    if (this.early === undefined) this.acks.settle(settled)
    else this.early.push({ then: () => this.acks.settle(settled) })
  }

  emitWaiting (fault) {
    const { early } = this
    this.early = undefined
    this.dispatcher.blocked = false
    for (const { name, payload, receiver, then } of early) {
      if (then !== undefined) {
        then()
        continue
      }
      try {
        if (fault !== undefined) throw fault
        this.emit(name, payload, receiver)
      } catch (thrown) {
        // Too late to throw it out of `emit`.
        const error = asError(thrown)
        if (receiver !== undefined) process.nextTick(() => receiver.answer(error))
        else if (error !== fault) this.warn(error)
      }
    }
    this.loop.wake()
    if (fault !== undefined && !this.closing) process.nextTick(() => this.emitter.status.emit('error', fault))
  }

  // ---- hearing

  hear (notice) {
    switch (notice.kind) {
      case 'ready': return this.onReady(notice)
      case 'failed': return this.onFailed(failure(notice))
      case 'answer': return this.requests.answer(notice)
      case 'progress': return notice.id === OPENING ? this.onProgress(notice) : this.requests.progress(notice)
      case 'logId':
        this.logId = notice.text
        return undefined
      case 'report': return this.warn(failure(notice))
      default: return this.peers.hear(notice)
    }
  }

  /** Something went wrong that belongs to no call; nobody has to listen. */
  warn (error) {
    this.context.runInAsyncScope(this.emitter.status.emit, this.emitter.status, 'warning', error)
  }

  /** The promise of a listener has been rejected: an exception of its, unless `captureRejections` asks for it. */
  onRejected (reason, name, payload) {
    const { emitter } = this
    if (!this.capturesRejections) return surface(reason)
    // Outside of the promise, where what these throw is an exception and no further rejection.
    process.nextTick(() => {
      const handler = emitter[EventEmitter.captureRejectionSymbol]
      if (typeof handler === 'function') handler.call(emitter, reason, name, payload)
      else emitter.status.emit('error', reason)
    })
  }

  onReady ({ text, number }) {
    this.opening = false
    this.logId = text
    this.openedAt = number
    if (this.closing) return
    this.emitter.changeStream = this.emitter.changes = changeStream(this)
    this.settleReady()
    this.emitter.status.emit('ready')
  }

  /** Opening takes a while. */
  onProgress ({ number, total }) {
    this.emitter.status.emit('progress', { done: number, total })
  }

  onFailed (error) {
    this.opening = false
    this.failed = error
    this.settleReady(error)
    // After the callbacks of what was emitted: somebody who waited has been told; else it must not pass in silence.
    setImmediate(() => {
      const { status } = this.emitter
      const heard = this.readyAsked || this.acks.refused > 0
      if (!this.closing && (!heard || status.listenerCount('error') > 0)) status.emit('error', error)
    })
  }

  /** Whether anything but acks and events holds the process. */
  isBusy () {
    return this.opening || this.closing !== this.closedAlready || this.requests.holding > 0 ||
      this.growth.behind || this.peers.holding || this.server.holding || this.early !== undefined
  }

  // ---- closing

  close (callback) {
    const { emitter } = this
    // As in 1.x the callback gets no arguments, whatever happened: a failure goes to `status`, or rejects the promise.
    const tell = (error) => {
      if (error) this.warn(error)
      callback.call(emitter)
    }
    return promised(typeof callback === 'function' ? tell : undefined, (done) => {
      if (this.closedAlready) {
        process.nextTick(done)
        return
      }
      this.closedCallbacks.push(done)
      if (!this.closing) this.end()
    })
  }

  end () {
    this.closing = true
    this.emitter._closed = true
    this.dispatcher.stop()
    if (this.early !== undefined) this.emitWaiting(closed())
    this.peers.end()
    this.server.end()
    this.emitter.changeStream?.destroy()
    this.ring.flush()
    // Readers get what is there already.
    this.growth.hurry()
    this.requests.close(() => this.requests.finish((id) => this.core.close(id), (error) => this.leave(error)))
    this.loop.refresh()
  }

  /** The core is closed, and with it its store; a database of the caller's that could not be opened as one has none. */
  leave (error) {
    const { port } = this
    this.port = undefined
    if (this.failed === undefined || port === undefined) return this.ended(error)
    port.abandon((failure) => this.ended(error || failure))
  }

  /** The store is closed, or failed to close. What waits in the native half is heard first: nothing is dropped. */
  ended (error) {
    if (this.acks.pending > 0) {
      this.loop.wake()
      setImmediate(() => this.ended(error))
      return
    }
    this.closedAlready = true
    this.settleReady(closed())
    unclosed.unregister(this)
    this.core.release()
    this.loop.stop()
    process.nextTick(() => this.emitter.status.emit('closed'))
    for (const done of this.closedCallbacks.splice(0)) process.nextTick(done, error)
  }
}

/** An EventPeer without addresses kills every 1.x process that it reaches. */
function checkEventPeer (payload) {
  if (payload && typeof payload === 'object' && !(payload.addresses?.length > 0)) {
    throw badArgument('an EventPeer must have addresses: without them it would crash hyperemitter 1.x peers', Error)
  }
}

module.exports = Parts
