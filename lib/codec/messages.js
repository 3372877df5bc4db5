'use strict'

/** The objects users see: `messages.Name.encode`, in the shape of protocol-buffers 3.2.1. */

const { isUint8Array } = require('node:util/types')

const { notBytes, notReadableBy1x } = require('../errors')
const pool = require('./shared/message-pool')
const { beginMessage } = require('./shared/batch')
const { allow } = require('./shared/budget')
const { cursor } = require('./shared/cursor')
const { define, BUILT_IN } = require('./plan')
const { PLAIN, STANDARD, EXACT } = require('./marks')

/**
 * The key of a message's fast pair (see {@link fast}). It is not enumerable, so that the shape stays 1.x's.
 */
const kFast = Symbol('hyperemitter.codec')

/**
 * What `hyperemitter.compile` and the emitter's `messages` return. `toString` and `toJSON` are on the prototype, as
 * in 1.x, so that they are no keys.
 */
class Messages {
  #text
  #plan

  constructor (text, plan) {
    this.#text = text
    this.#plan = plan
  }

  /** The schema's text. */
  toString () {
    return this.#text
  }

  /** The compiled plan, for tools. */
  toJSON () {
    return JSON.parse(this.#plan)
  }
}

/**
 * @param {object} parts
 * @param {string} parts.text schema
 * @param {string} parts.json plan as Rust wrote it
 * @param {object} parts.plan linked plan
 * @param {object} parts.engine encoders and decoders
 * @param {Function} parts.helpers adds the JSON helpers to a message
 * @param {(mark: number, index: number) => object} parts.twin a message in another encoding
 * @param {object[]} [parts.built] receives the messages by index
 * @returns {Messages}
 */
function build (parts) {
  const { plan } = parts
  const messages = new Messages(parts.text, parts.json)
  const built = parts.built || []
  plan.messages.forEach(() => built.push({}))
  plan.messages.forEach((type) => fill(built[type.index], type, parts, built))
  for (const named of plan.top) {
    // For such a name, 1.x finds its built-in encoding (or Object.prototype), and exports the message as "undefined".
    const hidden = parts.engine.encoding !== STANDARD && named.kind === 'message' && (BUILT_IN.has(named.name) || named.name === '__proto__')
    define(messages, hidden ? 'undefined' : named.name, exported(named, built))
  }
  return messages
}

function exported (named, built) {
  return named.kind === 'enum' ? named.type.exported : built[named.type.index]
}

/** Own keys in 1.x's order: nested messages, nested enums, then the message's own. */
function fill (message, type, { engine, helpers, twin }, built) {
  for (const named of type.nested) define(message, named.name, exported(named, built))
  const encode = encoder(type, engine)
  const decode = decoder(type, engine)
  message.type = 2
  message.message = true
  message.name = type.name
  message.buffer = true
  message.encode = encode
  message.decode = decode
  message.encodingLength = function encodingLength (obj) {
    return engine.length(type, obj)
  }
  helpers(message, type)
  Object.defineProperty(message, kFast, { value: pair(type, engine, encode, decode, (mark) => twin(mark, type.index)) })
}

function encoder (type, engine) {
  const write = engine.writers && engine.writers[type.index]
  let guess = 0

  function encode (obj, buf, offset) {
    if (buf || offset) return encodeAt(obj, buf, offset)
    let result = write ? pool.encode(write, obj, guess) : null
    // Whatever the fault is, the slow encoder throws it with 1.x's text, or succeeds.
    if (result === null) result = engine.slow(type, obj)
    guess = encode.bytes = result.length
    return result
  }

  /** Encodes at an offset. 1.x would silently cut off what does not fit. */
  function encodeAt (obj, buf, offset) {
    if (!offset) offset = 0
    if (!buf) buf = Buffer.alloc(engine.length(type, obj))
    const end = engine.slowAt(type, obj, asBuffer(buf), offset)
    if (end > buf.length) throw new RangeError(`${type.name}: ${end - offset} bytes do not fit into the ${Math.max(0, buf.length - offset)} left in the buffer`)
    encode.bytes = end - offset
    return buf
  }

  encode.bytes = 0
  return encode
}

function decoder (type, engine) {
  const read = engine.readers[type.index]

  function decode (buf, offset, end) {
    if (!offset) offset = 0
    if (!end) end = buf.length
    if (!(end <= buf.length && offset <= buf.length)) throw new Error('Decoded message is not valid')
    beginMessage()
    cursor.left = allow(end - offset)
    const result = read(asBuffer(buf), offset, end)
    decode.bytes = cursor.position - offset
    return result
  }

  decode.bytes = 0
  return decode
}

/** A Buffer over the same bytes. */
function asBuffer (buf) {
  if (Buffer.isBuffer(buf)) return buf
  if (isUint8Array(buf)) return Buffer.from(buf.buffer, buf.byteOffset, buf.byteLength)
  throw notBytes(buf)
}

/**
 * Encoder and decoder for the emit path, without Buffers or views for results.
 *
 * @typedef {object} FastPair
 * @property {import('./plan').Message} type what it encodes
 * @property {number} encoding the mark of events that this encodes
 * @property {number} alias another mark of events that this decodes
 * @property {boolean} strict whether it refuses what it would not store as it is
 * @property {Function} encode the message's own `encode`; when `codec.encode` is another, the pair must not be used
 * @property {Function} decode likewise
 * @property {(object: object) => Buffer} encoded encodes for an event, when `write` cannot be used
 * @property {(object: object, buffer: Buffer, offset: number) => number} write encodes at `offset`; returns the end, or
 *   -1 when the message does not fit (bytes from `offset` on may have changed). Throws as `encode` does.
 * @property {(buffer: Buffer, start: number, end: number) => object} read decodes `[start, end)`, copying bytes
 *   fields. Before a run of reads call `beginBatch(buffer, limit)`.
 */

/** @returns {FastPair} */
function pair (type, engine, encode, decode, twin) {
  const writer = engine.writers && engine.writers[type.index]
  const reader = engine.readers[type.index]

  /**
   * 1.x can write messages with bare fields that it cannot read again. Such an event would crash its own process and those of
   * all its peers that listen to it.
   */
  function encoded (object) {
    const bytes = encode(object)
    if (!type.bare) return bytes
    try {
      cursor.left = allow(bytes.length)
      reader(bytes, 0, bytes.length)
    } catch (err) {
      throw notReadableBy1x(type.name, err)
    }
    return bytes
  }

  function write (object, buffer, offset) {
    if (writer && !type.bare) {
      try {
        const end = writer(object, buffer, offset)
        return end <= buffer.length ? end : -1
      } catch (err) {
        // As in `encode`, the slow encoder throws the error, or succeeds.
      }
    }
    const bytes = type.bare ? encoded(object) : engine.slow(type, object)
    const end = offset + bytes.length
    if (end > buffer.length) return -1
    bytes.copy(buffer, offset)
    return end
  }

  /**
   * 1.x cuts off a truncated field at the end of its Buffer. Here other messages follow in the same Buffer. So a message that
   * reaches beyond `end`, or fails, is read again from a Buffer of its own. The same goes for a message with a field of a wrong
   * wire type, which is then refused.
   */
  function read (buffer, start, end) {
    // A bare field reaches to the end of its Buffer.
    if (engine.writers && !type.bare) {
      cursor.reached = 0
      cursor.left = allow(end - start)
      try {
        const object = reader(buffer, start, end)
        if (cursor.position <= end && cursor.reached <= end) return object
      } catch (err) {
        // If the message is invalid, the second reading throws.
      }
    }
    cursor.left = allow(end - start)
    cursor.strict = true
    try {
      return reader(Buffer.from(buffer.subarray(start, end)), 0, end - start)
    } finally {
      cursor.strict = false
    }
  }

  const encoding = engine.encoding === STANDARD ? STANDARD : type.bare ? EXACT : PLAIN
  const alias = encoding === STANDARD ? STANDARD : EXACT
  return { type, encoding, alias, strict: engine.strict === true, encode, decode, encoded, write, read, twin }
}

/**
 * The fast pair of a codec, or null for a user's own codec, and for one of ours whose functions were replaced.
 *
 * @param {object} codec what `messages[name]` holds
 * @returns {FastPair|null}
 */
function fast (codec) {
  const found = codec[kFast]
  return found !== undefined && found.encode === codec.encode && found.decode === codec.decode ? found : null
}

/**
 * The codec that decodes an event with this mark: `codec` itself, or the same message of the same schema in another
 * encoding. Users' own codecs decode everything.
 *
 * @param {object} codec what `messages[name]` holds
 * @param {number} mark the event's
 */
function codecFor (codec, mark) {
  const pair = fast(codec)
  return pair === null || pair.encoding === mark || pair.alias === mark ? codec : pair.twin(mark)
}

module.exports = { build, fast, codecFor }
