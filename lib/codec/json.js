'use strict'

/**
 * Messages as protobuf JSON: lowerCamelCase names, enums by name, 64-bit integers as decimal strings, bytes as base64,
 * NaN and infinities as strings. Timestamps, durations and wrappers have their special forms.
 */

const { define, get } = require('./plan')

const LONG = new Set(['int64', 'uint64', 'sint64', 'fixed64', 'sfixed64'])
const WRAPPERS = new Set(['DoubleValue', 'FloatValue', 'Int64Value', 'UInt64Value', 'Int32Value', 'UInt32Value', 'BoolValue', 'StringValue', 'BytesValue'].map((name) => 'google.protobuf.' + name))
const TIMESTAMP = 'google.protobuf.Timestamp'
const DURATION = 'google.protobuf.Duration'

/** @param {boolean} raw64 fixed 64-bit fields are eight bytes, as in 1.x */
function jsonHelpers (raw64) {
  return function (message, type) {
    /** JSON.stringify(messages.Name) comes here too, with a key: it shows the message object, as in 1.x. */
    function toJSON (object) {
      return typeof object === 'object' && object !== null ? toJson(type, object) : { ...message }
    }
    Object.defineProperties(message, {
      toJSON: { value: toJSON },
      fromJSON: { value: (json) => fromJson(type, json, type.name) }
    })
  }

  function toJson (type, object) {
    if (WRAPPERS.has(type.full)) return valueToJson(type.fields[0], object.value)
    if (type.full === TIMESTAMP) return new Date(Number(object.seconds) * 1000).toISOString().replace(/\.000Z$/, fraction(object.nanos) + 'Z')
    if (type.full === DURATION) return durationToJson(object)
    const json = {}
    for (const field of type.fields) {
      const value = get(object, field.name)
      if (value === null || value === undefined) continue
      define(json, field.json, fieldToJson(field, value))
    }
    return json
  }

  function fieldToJson (field, value) {
    if (!field.repeated) return valueToJson(field, value)
    if (!field.map) return Array.from(value, (item) => valueToJson(field, item))
    const json = {}
    for (const key of Object.keys(value)) define(json, key, valueToJson(field.type.fields[1], get(value, key)))
    return json
  }

  function valueToJson (field, value) {
    if (value === null || value === undefined) return null
    if (field.kind === 'message') return toJson(field.type, value)
    if (field.kind === 'enum') return field.type.byNumber.get(value) ?? value
    if (field.kind === 'bytes') return Buffer.from(value).toString('base64')
    if (LONG.has(field.kind)) {
      if (!Buffer.isBuffer(value)) return String(typeof value === 'number' ? BigInt(Math.trunc(value)) : value)
      return String(field.kind === 'fixed64' ? padded(value).readBigUInt64LE() : padded(value).readBigInt64LE())
    }
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
    // JSON.stringify would drop the sign; readers take numbers as text.
    return Object.is(value, -0) ? '-0' : value
  }

  function fromJson (type, json, path) {
    if (WRAPPERS.has(type.full)) return { value: valueFromJson(type.fields[0], json, path) }
    if (type.full === TIMESTAMP) return timestampFromJson(json, path)
    if (type.full === DURATION) return durationFromJson(json, path)
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw mismatch(path, json, 'an object')
    const object = {}
    for (const key of Object.keys(json)) {
      const field = type.fields.find((field) => field.json === key) || type.fields.find((field) => field.name === key)
      if (!field) throw mismatch(path, key, 'a field of ' + type.name)
      const value = get(json, key)
      if (value !== null) define(object, field.name, fieldFromJson(field, value, path + '.' + key))
    }
    return object
  }

  function fieldFromJson (field, json, path) {
    if (!field.repeated) return valueFromJson(field, json, path)
    if (!field.map) {
      if (!Array.isArray(json)) throw mismatch(path, json, 'an array')
      return json.map((item, i) => valueFromJson(field, item, `${path}[${i}]`))
    }
    if (typeof json !== 'object' || Array.isArray(json)) throw mismatch(path, json, 'an object')
    const map = {}
    for (const key of Object.keys(json)) define(map, key, valueFromJson(field.type.fields[1], get(json, key), `${path}[${JSON.stringify(key)}]`))
    return map
  }

  function valueFromJson (field, json, path) {
    const { kind } = field
    if (kind === 'message') return fromJson(field.type, json, path)
    if (kind === 'enum') return enumFromJson(field.type, json, path)
    if (kind === 'bytes') {
      // Both alphabets are allowed.
      if (typeof json !== 'string' || !/^[\w+/-]*={0,2}$/.test(json)) throw mismatch(path, json, 'base64 text')
      return Buffer.from(json, 'base64')
    }
    if (kind === 'string') return expectType(json, 'string', path)
    if (kind === 'bool') return expectType(json, 'boolean', path)
    if (kind === 'float' || kind === 'double') return floatFromJson(json, path)
    if (LONG.has(kind)) return longFromJson(kind, json, path)
    const number = typeof json === 'string' && json.trim() !== '' ? Number(json) : json
    if (!Number.isInteger(number)) throw mismatch(path, json, 'a whole number')
    return number
  }

  function longFromJson (kind, json, path) {
    const whole = (typeof json === 'string' && /^-?\d+$/.test(json)) || Number.isInteger(json)
    if (!whole) throw mismatch(path, json, 'a whole number')
    const value = BigInt(json)
    if (raw64 && kind.includes('fixed')) {
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
      return bytes
    }
    if (Number.isSafeInteger(Number(value))) return Number(value)
    if (raw64) throw mismatch(path, json, "a number below 2^53 (protobuf: 'standard' takes larger ones)", RangeError)
    return value
  }
}

function enumFromJson (type, json, path) {
  if (type.byName.has(json)) return type.byName.get(json)
  if (Number.isInteger(json)) return json
  throw mismatch(path, json, 'a value of enum ' + type.name)
}

function floatFromJson (json, path) {
  if (['NaN', 'Infinity', '-Infinity'].includes(json)) return Number(json)
  const number = typeof json === 'string' && json.trim() !== '' ? Number(json) : json
  if (typeof number !== 'number' || Number.isNaN(number)) throw mismatch(path, json, 'a number')
  return number
}

function expectType (json, kind, path) {
  // eslint-disable-next-line valid-typeof -- the kinds are written above
  if (typeof json !== kind) throw mismatch(path, json, 'a ' + kind)
  return json
}

/** `.5`, `.000001` …: three, six or nine digits, none for zero. */
function fraction (nanos) {
  const digits = String(Math.abs(nanos || 0)).padStart(9, '0').replace(/(000){1,3}$/, '')
  return digits && '.' + digits
}

function timestampFromJson (json, path) {
  const match = typeof json === 'string' && /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(json)
  const ms = match ? Date.parse(match[1] + match[3]) : NaN
  if (Number.isNaN(ms)) throw mismatch(path, json, 'an RFC 3339 time')
  return { seconds: ms / 1000, nanos: Number((match[2] || '').padEnd(9, '0')) }
}

function durationToJson ({ seconds, nanos }) {
  const negative = Number(seconds) < 0 || nanos < 0
  return `${negative ? '-' : ''}${String(seconds || 0).replace('-', '')}${fraction(nanos)}s`
}

function durationFromJson (json, path) {
  const match = typeof json === 'string' && /^(-?)(\d+)(?:\.(\d{1,9}))?s$/.exec(json)
  if (!match) throw mismatch(path, json, 'a duration such as "1.5s"')
  const sign = match[1] ? -1 : 1
  return { seconds: sign * Number(match[2]) + 0, nanos: sign * Number((match[3] || '').padEnd(9, '0')) + 0 }
}

/** A 1.x fixed64 may be short. */
function padded (bytes) {
  return bytes.length >= 8 ? bytes : Buffer.concat([bytes], 8)
}

function mismatch (path, json, wanted, Kind) {
  const error = new (Kind || TypeError)(`${path}: ${JSON.stringify(json)} is not ${wanted}`)
  error.code = 'ERR_HYPER_VALUE'
  return error
}

module.exports = { jsonHelpers }
