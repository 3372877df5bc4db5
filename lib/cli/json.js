'use strict'

const { isUint8Array } = require('node:util/types')

const { formOf } = require('../codec/json/well-known')
const { timeText } = require('../log/stored-time')
const { forJson } = require('./escape')
const { fieldOf } = require('./schema')

/**
 * Events as JSON: `{"name", "payload"}` per line, as in 1.x, with bytes as base64 as in the protobuf JSON mapping.
 *
 * The payload of an event without a codec is bytes. It is marked `"encoding": "base64"`, because an unmarked string is text, as
 * in 1.x. 1.x's own form of bytes, `{"type":"Buffer","data":[…]}`, is read everywhere.
 */

/** 64-bit fixed fields are Buffers of eight bytes in 1.x's codecs, so they are read as bytes are, unless they are numbers. */
const WIDE = new Set(['fixed64', 'sfixed64'])
const BYTES = new Set(['bytes', ...WIDE])

/** Numbers that JSON cannot express, as `toJson` writes them. */
const INFINITE = new Set(['Infinity', '-Infinity'])

/** Kinds whose values are numbers in 1.x's codecs. */
const NUMBERS = new Set(['double', 'float', 'int32', 'uint32', 'sint32', 'fixed32', 'sfixed32', 'int64', 'uint64', 'sint64'])

/** Numbers as text, which protobuf's JSON mapping has, for 64 bits always. */
const DECIMAL = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/

/**
 * A decoded payload in JSON values: bytes as base64, large integers and non-finite numbers as strings.
 * @param {any} value
 * @returns {any}
 */
function toJson (value) {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (value === null || typeof value !== 'object') return value
  if (isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value.toJSON === 'function') return value.toJSON()
  const result = {}
  for (const key of Object.keys(value)) define(result, key, toJson(value[key]))
  return result
}

/** Assigns an own property, also one called `__proto__`. */
function define (object, key, value) {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
}

/**
 * The part of a line that is the event's content.
 * @param {{name: string, payload?: any, raw?: Buffer, tags?: string[]}} event as `read` gives it
 */
function content ({ name, payload, raw, tags }) {
  const found = tags === undefined ? {} : { tags }
  if (raw !== undefined) return { name, payload: raw.toString('base64'), encoding: 'base64', ...found }
  return { name, payload: toJson(payload), ...found }
}

/** One line of ndjson. */
function toLine (event) {
  return forJson(content(event)) + '\n'
}

/** The line with the event's position in the log in front. */
function toFullLine (event) {
  const { change, time, log, seq, key, links } = event
  return forJson({ change, time: timeText(time), log, seq, key, links, ...content(event) }) + '\n'
}

/**
 * An event for `hypem log --json`: its payload in protobuf's JSON mapping, as `messages[name].toJSON` gives it.
 * @param {object} messages of the emitter
 * @returns {(event: object) => string}
 */
function logLine (messages) {
  return (event) => {
    const { change, cursor, time, log, seq, key, links, name, payload, raw, error, tags } = event
    const position = { change, cursor, time: timeText(time), log, seq, key, links }
    const found = tags === undefined ? {} : { tags }
    if (raw !== undefined) return forJson({ ...position, ...content(event), ...(error && { error: error.message }) }) + '\n'
    try {
      return forJson({ ...position, name, ...found, payload: messages[name].toJSON(payload) }) + '\n'
    } catch (failure) { // not everything has a JSON form: a time beyond the year 9999, for example
      return forJson({ ...position, ...content(event), error: failure.message }) + '\n'
    }
  }
}

/** Standard base64 with its padding, as hypem prints it. Anything else may be text. */
function isBase64 (text) {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}

/**
 * Reads lines of ndjson back into events: those of sessions and of `export`, and those of `log --json`, whose payloads are in
 * protobuf's JSON mapping. A line by hand may have either form. It is in the mapping if a well-known type in it has its own form,
 * such as a Timestamp that is text; enums, names of fields, and numbers as text are read in both.
 * @param {import('./schema').Schema|null} schema says which fields hold bytes and enums; null if there is no schema
 * @param {'auto'|'base64'|'text'} form how an unmarked string for bytes is read: as base64 if it is valid base64 and as text
 *   otherwise, as base64 only, or as text only (as in 1.x)
 * @param {boolean} ids whether a line's `id` is that of an idempotent append; 1.x ignored it
 */
function lineReader (schema, form = 'auto', ids = false) {
  /** Whether the line that is being read was found to be in the mapping. */
  let mapped = false

  function bytes (value, path) {
    if (typeof value === 'string') {
      if (form === 'text') return Buffer.from(value, 'utf8')
      if (isBase64(value)) return Buffer.from(value, 'base64')
      if (form === 'base64') throw new TypeError(`${path} is not base64`)
      return Buffer.from(value, 'utf8')
    }
    return buffers(value)
  }

  /** Replaces 1.x's form of bytes, at any depth. */
  function buffers (value) {
    if (value === null || typeof value !== 'object') return value
    if (Array.isArray(value)) return value.map(buffers)
    if (value.type === 'Buffer' && Array.isArray(value.data) && Object.keys(value).length === 2) return Buffer.from(value.data)
    return value
  }

  /** The value of a field, from its form in JSON. */
  function fieldValue (value, field, path) {
    if (value === null || value === undefined) return value
    if (field.map) {
      if (typeof value !== 'object') return value
      const [, item] = field.type.fields
      const result = {}
      for (const key of Object.keys(value)) define(result, key, fieldValue(value[key], item, `${path}.${key}`))
      return result
    }
    if (field.repeated && Array.isArray(value)) return value.map((item, at) => one(item, field, `${path}[${at}]`))
    return one(value, field, path)
  }

  function one (value, { kind, type }, path) {
    if (kind === 'message') return whole(value, type, path)
    if (kind === 'enum') return typeof value === 'string' && Object.hasOwn(type.exported, value) ? type.exported[value] : value
    if (INFINITE.has(value) && (kind === 'double' || kind === 'float')) return Number(value)
    if (NUMBERS.has(kind)) return typeof value === 'string' && DECIMAL.test(value) ? Number(value) : value
    // Eight bytes in base64 end with padding, so they are never taken for a number.
    if (WIDE.has(kind) && form !== 'text' && typeof value === 'string' && DECIMAL.test(value)) mapped = true
    return BYTES.has(kind) ? bytes(value, path) : value
  }

  function whole (value, message, path) {
    if (value !== null && formOf(message) !== undefined && !isPlain(value, message)) mapped = true
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
    const result = {}
    for (const key of Object.keys(value)) {
      const field = fieldOf(message, key)
      define(result, field?.name ?? key, field ? fieldValue(value[key], field, `${path}.${key}`) : value[key])
    }
    return result
  }

  /**
   * @param {string} text
   * @returns {{name: any, payload: any, tags?: any, id?: any}} to be passed to `emit`, which checks both
   * @throws {Error} the line is not an event
   */
  return function read (text) {
    const line = JSON.parse(text)
    if (line === null || typeof line !== 'object') throw new TypeError(`not an event: ${text.slice(0, 40)}`)
    const { name, payload, encoding, tags, id } = line
    const rest = { ...(tags !== undefined && { tags }), ...(ids && id !== undefined && { id }) }
    if (encoding === 'base64' && typeof payload === 'string') {
      if (!isBase64(payload)) throw new TypeError('payload is not base64')
      return { name, payload: Buffer.from(payload, 'base64'), ...rest }
    }
    const message = schema && typeof name === 'string' ? schema.message(name) : undefined
    if (message === undefined) return { name, payload: buffers(payload), ...rest }
    mapped = isOfLog(line)
    const plain = mapped ? undefined : whole(payload, message, name)
    // 1.x does not export a message that is called like a scalar.
    if (mapped && Object.hasOwn(schema.messages, name)) return { name, payload: schema.messages[name].fromJSON(payload), ...rest }
    return { name, payload: plain, ...rest }
  }
}

/** Whether a message of a well-known type is given by its fields, as decoders give it. */
function isPlain (value, message) {
  return typeof value === 'object' && !Array.isArray(value) && Object.keys(value).every((key) => fieldOf(message, key))
}

/** Whether `log --json` has printed the line, in the mapping: it has the event's cursor, and no error. */
function isOfLog ({ cursor, log, seq, key, error }) {
  return cursor !== undefined && cursor === `${log}:${seq}:${key}` && error === undefined
}

module.exports = { toJson, toLine, toFullLine, logLine, lineReader }
