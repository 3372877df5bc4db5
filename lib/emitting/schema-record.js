'use strict'

const native = require('../native/addon')
const codec = require('../codec')
const { schemaDrift, schemaTooLarge } = require('../errors')

/** The largest schema that peers are told, in bytes of text: `MAX_SCHEMA` in src/schema/mod.rs. */
const MAX_SCHEMA = 256 * 1024

/** The native half's record (`Meta::Schemas`). */
const FACT = 'schemas'

/**
 * Records in the store with which message the events of each name were encoded. Warns if the emitter's own messages cannot read
 * these events, and tells peers of new links the emitter's messages.
 */
class SchemaRecord {
  /**
   * @param {object} parts
   * @param {object} parts.core the native half
   * @param {import('../native/requests')} parts.requests
   * @param {import('./event-codecs')} parts.codecs
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../status')} parts.status
   */
  constructor ({ core, requests, codecs, state, status }) {
    this.core = core
    this.requests = requests
    this.codecs = codecs
    this.state = state
    this.status = status
    /** The text of the record once it has been read; '' if there is none. */
    this.text = undefined
    /** Callbacks that wait until the record has been read. */
    this.waiting = undefined
    /** By event name: messages with which events were encoded, and that are not in the stored record yet. */
    this.used = new Map()
    /** Whether the record is full. The owner has been warned. */
    this.full = false
    /** The emitter's messages as peers were last told; undefined until the first time. */
    this.told = undefined
    codecs.onUse = (name, encoder) => this.note(name, encoder)
  }

  /** To be called when the store is open and the schema has been read. Warns of stored events that cannot be read. */
  check () {
    if (this.told !== undefined) this.tell()
    this.whenRead(() => this.compare())
  }

  compare () {
    if (!this.text) return
    try {
      const found = this.differences(JSON.parse(this.text))
      if (found.first.length > 0) this.status.warn(schemaDrift(found))
    } catch (error) {
      this.status.warn(error)
    }
  }

  /**
   * The fields of events in these forms that the emitter's own messages cannot read: `{ first: [{ path, was, is }], more }`.
   */
  differences (forms) {
    const names = new Set(forms.map(({ events: [[name]] }) => name))
    const own = this.own()
    // An emitter without a schema reads bytes, and codecs of users read whatever they like.
    const missing = own.length === 0 ? [] : [...names].filter((name) => this.codecs.of(name) === undefined)
    const ours = own.filter(([name]) => names.has(name))
    return JSON.parse(native.schemaDifferences(JSON.stringify(forms), codec.describe(ours), missing))
  }

  /** What `schemas()` resolves to: each form in which events were encoded. */
  async list () {
    // Another process may have changed the record.
    if (this.state.readOnly) this.text = undefined
    await new Promise((resolve, reject) => this.whenRead((error) => error ? reject(error) : resolve()))
    const forms = this.text === '' ? [] : JSON.parse(this.text)
    return forms.map((form) => {
      const [name, , standard] = form.events[0]
      const { first: differences } = this.differences([form])
      return { name, protobuf: standard === 1 ? 'standard' : '1.x', proto: codec.protoText(form), differences }
    })
  }

  /** Notes that an event of this name is encoded with another codec than the last one. */
  note (name, encoder) {
    const pair = this.ownPair(name, encoder)
    if (pair === null || this.full) return
    // Names that are used for the first time together are written together, before or with their first events.
    if (this.used.size === 0) queueMicrotask(() => this.settle(() => {}))
    this.used.set(name, pair)
  }

  /** Calls back once what was noted is on its way to the store. */
  settle (callback) {
    if (this.used.size === 0) return callback()
    this.whenRead(() => {
      this.write()
      callback()
    })
  }

  write () {
    const used = [...this.used].map((event) => codec.describe([event]))
    this.used.clear()
    if (used.length === 0) return
    if (this.text === undefined) return this.retryLater()
    let text
    try {
      text = native.recordSchemas(this.text, `[${used}]`)
    } catch (error) {
      this.full = true
      this.status.warn(error)
      return
    }
    if (text === null) return
    this.text = text
    this.requests.ask((id) => this.core.setFact(id, FACT, text), (error) => {
      if (error) this.retryLater()
    }, { brief: true })
  }

  /**
   * The record could not be read or stored. The events that are emitted now report the same; the next event of each name has
   * its message recorded.
   */
  retryLater () {
    this.text = undefined
    this.codecs.encoders.clear()
  }

  /** Calls back once the record has been read, or with why it cannot be read. */
  whenRead (callback) {
    if (this.text !== undefined) return callback()
    if (this.waiting !== undefined) return this.waiting.push(callback)
    this.waiting = [callback]
    this.requests.ask((id) => this.core.askFact(id, FACT), (error, answer) => {
      if (!error) this.text = answer.text ?? ''
      const { waiting } = this
      this.waiting = undefined
      for (const each of waiting) each(error)
    }, { brief: true })
  }

  /** Tells peers of links that begin from now on what the emitter's messages are. */
  tell () {
    const own = this.own()
    if (this.told !== undefined && sameMessages(own, this.told)) return
    this.told = own
    const text = own.length === 0 ? undefined : codec.describe(own)
    const size = text === undefined ? 0 : Buffer.byteLength(text)
    if (size > MAX_SCHEMA) this.status.warn(schemaTooLarge(size, MAX_SCHEMA))
    this.core.setSchema(size > MAX_SCHEMA ? undefined : text)
  }

  /** Names and messages of the emitter that were compiled from a schema. */
  own () {
    const pairs = Object.keys(this.codecs.all).map((name) => [name, this.ownPair(name, this.codecs.of(name))])
    return pairs.filter(([, pair]) => pair !== null)
  }

  /** What encodes events of this name; null unless it was compiled from the user's schema. */
  ownPair (name, found) {
    if (found === undefined || found === null || found === codec.core(native)[name]) return null
    const pair = codec.fast(found)
    // In 1.x's shape the entries of maps are among the messages.
    return pair === null || pair.type.entry ? null : pair
  }
}

function sameMessages (a, b) {
  return a.length === b.length && a.every(([name, pair], index) => b[index][0] === name && b[index][1] === pair)
}

module.exports = SchemaRecord
