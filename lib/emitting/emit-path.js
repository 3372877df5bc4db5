'use strict'

const { PLAIN, NODE, byteLength, checkName, containerLength } = require('../native/emit-buffer')
const { asError, closed, backlog, eventMissing, peerWithoutAddresses } = require('../errors')
const { fast } = require('../codec')
const { Batch, Gathered } = require('./batch')
const { demandsOf, isDemanding } = require('./demands')
const { refuseText, unencodable } = require('./unknown-events')

/** Most emits that wait for a schema to be read. */
const MAX_DEFERRED = 64 * 1024

/**
 * Passes emits to the native half: from the call to the buffer from which it takes them, and to the queue of their callbacks.
 */
class EmitPath {
  /**
   * @param {object} parts
   * @param {import('./event-codecs')} parts.codecs
   * @param {import('../native/emit-buffer').EmitBuffer} parts.buffer
   * @param {import('../native/acks')} parts.acks
   * @param {import('./deferred-queue')} parts.deferred
   * @param {import('./search-index')} [parts.searchIndex] of a Level database
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../lifecycle/process-hold')} parts.hold
   * @param {import('../status')} parts.status
   * @param {import('./tags')} parts.tagRules
   */
  constructor ({ codecs, buffer, acks, deferred, searchIndex, state, hold, status, tagRules }) {
    this.codecs = codecs
    this.buffer = buffer
    this.acks = acks
    this.deferred = deferred
    this.searchIndex = searchIndex
    this.state = state
    this.hold = hold
    this.status = status
    this.tagRules = tagRules
    /**
     * Set once by the wiring: it finds the events of cursors.
     *
     * @type {import('../log/arrivals')}
     */
    this.arrivals = undefined
  }

  /**
   * Appends an event. If the codec throws, this throws the same, and nothing is appended.
   *
   * @param {string} name
   * @param {*} payload
   * @param {{ answer: (error: Error | null, node?: object) => void }} [receiver] told when the event is stored, or refused
   * @param {{ tags?: Iterable<string>, id?: string, failIf?: object }} [options]
   */
  emit (name, payload, receiver, options) {
    if (isDemanding(options)) {
      this.emitAll([{ name, payload, tags: options.tags }], receiver, demandsOf(options), true)
      return
    }
    const given = options?.tags
    if (this.deferred.deferring) {
      this.defer(() => this.emit(name, payload, receiver, options), receiver)
      return
    }
    const encoder = this.codecs.encoder(name)
    if (name === 'EventPeer') checkEventPeer(payload)
    if (this.state.closing) {
      this.refuse(name, encoder, payload, receiver)
      return
    }
    const ack = receiver === undefined ? PLAIN : NODE
    const tags = this.tagRules.of(name, payload, given)
    if (encoder === undefined) this.emitEncoded(name, payload, ack, tags)
    else this.buffer.append(name, encoder, payload, ack, tags)
    this.acks.expect(receiver)
    if (!this.hold.active) this.hold.refresh()
  }

  /**
   * Appends events that are stored together or not at all. If a codec throws, this throws the same, and nothing is appended.
   *
   * @param {{ name: string, payload: *, tags?: Iterable<string> }[]} events
   * @param {{ answer: (error: Error | null, nodes?: object[] | object) => void }} [receiver]
   * @param {import('./demands').Demands} [demands]
   * @param {boolean} [single] there is one event, and the answer is its node
   */
  emitAll (events, receiver, demands, single) {
    if (this.deferred.deferring) {
      this.defer(() => this.emitAll(events, receiver, demands, single), receiver)
      return
    }
    if (this.encodeBatch(events, demands, receiver === undefined ? PLAIN : NODE)) {
      this.expect(events.length, receiver, single)
      return
    }
    const batch = this.batchOf(events)
    if (demands?.cursor === undefined) {
      this.store(batch, demands, receiver, single)
      return
    }
    const { cursor } = demands
    const refusal = (why) => eventMissing('after', cursor, why)
    const own = batch.copy()
    this.arrivals.find(cursor, { refusal }, (error, after) => {
      this.later(receiver, error, () => this.store(own, { ...demands, after }, receiver, single))
    })
  }

  /** Does the rest of a call that could not be done immediately. The caller has returned, so what it throws is answered. */
  later (receiver, error, rest) {
    if (error) return this.fail(error, receiver)
    try {
      rest()
    } catch (thrown) {
      this.fail(asError(thrown), receiver)
    }
  }

  fail (error, receiver) {
    if (receiver === undefined) this.status.warn(error)
    else receiver.answer(error)
  }

  /**
   * Encodes events into the buffer, without a {@link Batch}. Returns whether that was possible; if not, nothing has been appended.
   * It is not if the append has to wait, if an event has no generated codec, or if there is no room.
   */
  encodeBatch (events, demands, ack) {
    const { buffer, codecs } = this
    if (demands?.cursor !== undefined || this.state.closing || this.searchIndex?.holdsBack(demands)) return false
    for (const { name } of events) {
      const encoder = buffer.knows(name) && name !== 'EventPeer' ? codecs.encoder(name) : undefined
      if (encoder === undefined || fast(encoder) === null) return false
    }
    const start = buffer.end
    let at = buffer.beginBatch(demands)
    if (at < 0) return false
    try {
      for (const { name, payload, tags } of events) {
        at = buffer.write(at, name, fast(codecs.encoder(name)), payload, ack, this.tagRules.of(name, payload, tags))
        if (at < 0) return false
      }
    } finally {
      buffer.leave()
    }
    buffer.endBatch(start, at, events.length)
    return true
  }

  /** Encodes events for {@link store}. Their payloads and tags must not be changed before. */
  batchOf (events) {
    const batch = new Batch()
    for (const { name, payload, tags: given } of events) {
      checkName(name)
      const tags = this.tagRules.of(name, payload, given)
      const { bytes, mark } = this.encoded(name, payload)
      this.buffer.checkSize(name, bytes.length + containerLength(tags))
      batch.add(name, bytes, mark, tags)
    }
    return batch
  }

  /** Has a batch stored. */
  store (batch, demands, receiver, single) {
    if (this.searchIndex?.holdsBack(demands)) {
      const own = batch.copy()
      this.searchIndex.whenReady((error) => this.later(receiver, error, () => this.handOver(own, demands, receiver, single)))
      return
    }
    this.handOver(batch, demands, receiver, single)
  }

  handOver (batch, demands, receiver, single) {
    if (this.state.closing) {
      process.nextTick(() => this.fail(closed(), receiver))
      return
    }
    this.buffer.appendBatch(batch, demands, receiver === undefined ? PLAIN : NODE)
    this.expect(batch.events.length, receiver, single)
  }

  /** Notes who gets the answers to the events of a batch. */
  expect (length, receiver, single) {
    const each = single ? receiver : new Gathered(length, receiver)
    for (let left = length; left > 0; left--) this.acks.expect(each)
    if (!this.hold.active) this.hold.refresh()
  }

  /** The bytes of a payload, and how they are encoded. */
  encoded (name, payload) {
    const encoder = this.codecs.encoder(name)
    if (name === 'EventPeer') checkEventPeer(payload)
    if (encoder === undefined) {
      if (typeof payload === 'string' && this.codecs.refusesText) refuseText(name, this.codecs.all)
      try {
        byteLength(payload, name)
      } catch (error) {
        throw unencodable(name, payload, this.codecs.all, error)
      }
      return { bytes: bytesOf(payload), mark: 0 }
    }
    const pair = fast(encoder)
    if (pair !== null) return { bytes: pair.encoded(payload), mark: pair.encoding }
    const encoded = encoder.encode(payload)
    byteLength(encoded, name)
    return { bytes: bytesOf(encoded), mark: 0 }
  }

  /** Emits an event without a codec: bytes or text. */
  emitEncoded (name, payload, ack, tags) {
    if (typeof payload === 'string' && this.codecs.refusesText) refuseText(name, this.codecs.all)
    try {
      this.buffer.appendEncoded(name, payload, ack, 0, tags)
    } catch (error) {
      throw unencodable(name, payload, this.codecs.all, error)
    }
  }

  /** Refuses an emit of a closed emitter: throws if an emit would throw; otherwise answers that the emitter is closed. */
  refuse (name, encoder, payload, receiver) {
    checkName(name)
    const encoded = encoder === undefined ? payload : encoder.encode(payload)
    if (encoder === undefined && typeof payload === 'string' && this.codecs.refusesText) refuseText(name, this.codecs.all)
    try {
      this.buffer.checkSize(name, byteLength(encoded, name))
    } catch (error) {
      throw encoder === undefined ? unencodable(name, payload, this.codecs.all, error) : error
    }
    if (receiver !== undefined) process.nextTick(() => receiver.answer(closed()))
  }

  /** Emits once the schema has been read. */
  defer (emit, receiver) {
    if (this.deferred.length >= MAX_DEFERRED) throw backlog(MAX_DEFERRED)
    this.deferred.add((fault) => {
      try {
        if (fault !== undefined) throw fault
        emit()
      } catch (thrown) {
        // It is too late to throw it from `emit`.
        const error = asError(thrown)
        if (receiver !== undefined) process.nextTick(() => receiver.answer(error))
        else if (error !== fault) this.status.warn(error)
      }
    })
  }

  /**
   * Calls back once every emit made so far has been answered, including deferred ones.
   *
   * @param {(stored: number) => void} settled gets the number of emits that were unanswered until now and have been stored
   */
  afterEmits (settled) {
    if (this.deferred.deferring) this.deferred.add(() => this.acks.settle(settled))
    else this.acks.settle(settled)
  }
}

/** The bytes of a payload that is bytes or text. */
function bytesOf (payload) {
  return typeof payload === 'string' ? Buffer.from(payload) : payload
}

/** Refuses an EventPeer without addresses, which would crash every 1.x process that it reaches. */
function checkEventPeer (payload) {
  if (payload && typeof payload === 'object' && !(payload.addresses?.length > 0)) throw peerWithoutAddresses()
}

module.exports = EmitPath
