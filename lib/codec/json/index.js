'use strict'

/**
 * Converts messages to and from protobuf JSON (https://protobuf.dev/programming-guides/json/). Paths name fields in errors.
 * `depth` is the number of remaining levels, counted as by the standard decoder, so that whatever is read here can also be read
 * from bytes.
 */

const { define, get } = require('../plan')
const { allow, ALLOWANCE } = require('../shared/budget')
const { beginMessage } = require('../shared/batch')
const { cursor } = require('../shared/cursor')
const { MAX_DEPTH } = require('../standard/engine')
const { formOf } = require('./well-known')
const { scalarToJson, scalarFromJson, zeroToJson, keyFromJson, enumTable, enumToJson, enumFromJson, within } = require('./scalars')
const { mismatch, refusal } = require('./errors')

/**
 * @param {object} plan linked plan
 * @param {object} engine its encoders and decoders
 * @param {boolean} v1 the messages are 1.x's
 */
function jsonHelpers (plan, engine, v1) {
  let mapping
  // Made at the first use: most emitters never need it.
  const made = () => mapping || (mapping = new Mapping(plan, engine, v1))
  return function (message, type) {
    /** JSON.stringify(messages.Name) calls this with a key: it gets the message object, as in 1.x. */
    function toJSON (object) {
      return typeof object === 'object' && object !== null ? made().toJson(type, object) : { ...message }
    }
    Object.defineProperties(message, {
      toJSON: { value: toJSON },
      fromJSON: { value: (json) => made().messageFromJson(type, json, type.name, MAX_DEPTH) }
    })
  }
}

class Mapping {
  #engine
  #forms
  #enums
  #names = new Map()
  #allowance = 0

  constructor (plan, engine, v1) {
    this.v1 = v1
    /** Messages by qualified name: what an Any may hold. */
    this.types = new Map(plan.messages.filter((type) => !type.entry).map((type) => [type.full, type]))
    this.#engine = engine
    this.#forms = plan.messages.map(formOf)
    this.#enums = plan.enums.map((type) => enumTable(type, v1))
  }

  isSpecial (type) {
    return this.#forms[type.index] !== undefined
  }

  encode (type, object) {
    return this.#engine.slow(type, object)
  }

  /** Decodes the message of an Any. All Anys of a message share one allowance. */
  decode (type, bytes) {
    beginMessage()
    cursor.left = allow(bytes.length, this.#allowance)
    const message = this.#engine.readers[type.index](bytes, 0, bytes.length)
    this.#allowance = Math.min(this.#allowance, cursor.left)
    return message
  }

  toJson (type, object) {
    this.#allowance = ALLOWANCE
    return this.messageToJson(type, object, type.name, MAX_DEPTH)
  }

  messageToJson (type, object, path, depth) {
    if (typeof object !== 'object' || object === null) throw mismatch(path, object, 'a ' + type.name)
    enter(path, depth)
    const form = this.#forms[type.index]
    if (form) return form.toJson(this, type, object, path, depth)
    const members = new Map(type.oneofs.map((oneof) => [oneof, this.chosen(oneof, object, path)]))
    const json = {}
    for (const field of type.fields) {
      const value = held(object, field)
      if (value === undefined || (field.oneof && members.get(field.oneof) !== field)) continue
      const item = this.#fieldToJson(field, value, `${path}.${field.name}`, depth)
      if (item !== undefined) define(json, field.json, item)
    }
    return json
  }

  /** The member of a oneof that is set, if any. */
  chosen (oneof, object, path) {
    const { fields, name } = oneof
    // 1.x decodes an unset oneof to the defaults of all members, and a set oneof to its single member.
    const unset = this.v1 && fields.length > 1 && fields.every((field) => Object.hasOwn(object, field.name) && object[field.name] === field.initial)
    const members = unset ? [] : fields.filter((field) => held(object, field) !== undefined)
    if (members.length > 1) throw severalSet(path, name)
    return members[0]
  }

  /**
   * Undefined for fields that JSON leaves out: empty lists and maps, and fields without presence that have their default value.
   */
  #fieldToJson (field, value, path, depth) {
    if (field.map) {
      const json = this.mapToJson(field, value, path, depth)
      return Object.keys(json).length > 0 ? json : undefined
    }
    if (field.repeated) {
      const json = this.listToJson(field, value, path, depth)
      return json.length > 0 ? json : undefined
    }
    const json = this.itemToJson(field, value, path, depth)
    return field.implicit && field.default === undefined && json === this.#zero(field) ? undefined : json
  }

  #zero ({ kind, type }) {
    if (kind === 'message') return undefined
    if (kind !== 'enum') return zeroToJson(kind)
    const table = this.#enums[type.index]
    return enumToJson(table, table.first)
  }

  /** Missing elements are left out, as encoders do. */
  listToJson (field, value, path, depth) {
    if (!Array.isArray(value) && !ArrayBuffer.isView(value)) throw mismatch(path, value, 'an array')
    return Array.from(value).filter((item) => item !== null && item !== undefined)
      .map((item, i) => this.itemToJson(field, item, within(path, i), depth))
  }

  mapToJson (field, value, path, depth) {
    if (typeof value !== 'object') throw mismatch(path, value, 'an object')
    const item = field.type.fields[1]
    const json = {}
    for (const key of Object.keys(value)) {
      enter(path, depth - 1)
      const each = get(value, key) ?? this.#missing(item)
      if (each !== undefined) define(json, key, this.itemToJson(item, each, within(path, key), depth - 1))
    }
    return json
  }

  /** Handles an entry without a value. In 1.x it stands for the default; standard encoding has no such entry. */
  #missing ({ kind }) {
    if (!this.v1) return undefined
    return kind === 'message' ? {} : kind === 'bytes' || kind.endsWith('fixed64') ? Buffer.alloc(0) : undefined
  }

  itemToJson ({ kind, type }, value, path, depth) {
    if (kind === 'message') return this.messageToJson(type, value, path, depth - 1)
    return kind === 'enum' ? enumToJson(this.#enums[type.index], value, path) : scalarToJson(kind, value, path)
  }

  messageFromJson (type, json, path, depth) {
    enter(path, depth)
    const form = this.#forms[type.index]
    if (form) return form.fromJson(this, type, json, path, depth)
    requireObject(json, path)
    const { names, inherited } = this.#namesOf(type)
    const seen = new Set()
    const object = {}
    for (const key of Object.keys(json)) {
      const field = names.get(key)
      if (!field) throw mismatch(path, key, 'a field of ' + type.name)
      const value = get(json, key)
      if (value === undefined) continue
      // A field may be given under either of its names, but only once.
      if (seen.has(field)) throw refusal(`${path}.${key}`, `${field.name} is given twice`)
      seen.add(field)
      if (value === null && !this.#takesNull(field)) continue
      if (field.oneof && seen.has(field.oneof)) throw severalSet(path, field.oneof.name)
      seen.add(field.oneof)
      define(object, field.name, this.#fieldFromJson(field, value, `${path}.${key}`, depth))
    }
    // Otherwise encoders would find the properties of Object.prototype under such names.
    for (const name of inherited) if (!Object.hasOwn(object, name)) object[name] = undefined
    return object
  }

  /** Fields by JSON name and by original name. If two fields share a name, the one with that JSON name wins. */
  #namesOf (type) {
    let found = this.#names.get(type)
    if (!found) {
      const by = (key) => type.fields.map((field) => [field[key], field])
      found = { names: new Map([...by('name'), ...by('json')]), inherited: type.fields.map(({ name }) => name).filter((name) => get({}, name) !== undefined) }
      this.#names.set(type, found)
    }
    return found
  }

  /** Whether null is a value of the field. For all other fields it means that the field is absent. */
  #takesNull ({ kind, type, repeated }) {
    if (repeated) return false
    return kind === 'message' ? this.#forms[type.index]?.takesNull === true : kind === 'enum' && this.#enums[type.index].isNull
  }

  #fieldFromJson (field, json, path, depth) {
    if (field.map) return this.mapFromJson(field, json, path, depth)
    return field.repeated ? this.listFromJson(field, json, path, depth) : this.itemFromJson(field, json, path, depth)
  }

  listFromJson (field, json, path, depth) {
    if (!Array.isArray(json)) throw mismatch(path, json, 'an array')
    return Array.from(json, (item, i) => this.itemFromJson(field, item, within(path, i), depth))
  }

  mapFromJson (field, json, path, depth) {
    requireObject(json, path)
    const [key, item] = field.type.fields
    const map = {}
    for (const text of Object.keys(json)) {
      enter(path, depth - 1)
      const where = within(path, text)
      define(map, this.#keyFromJson(key, text, where), this.itemFromJson(item, get(json, text), where, depth - 1))
    }
    return map
  }

  /** 1.x has maps keyed by enums. */
  #keyFromJson ({ kind, type }, text, path) {
    if (kind !== 'enum') return keyFromJson(kind, text, path, this.v1)
    return String(this.#enums[type.index].byName.get(text) ?? keyFromJson('int32', text, path))
  }

  itemFromJson ({ kind, type }, json, path, depth) {
    if (kind === 'message') return this.messageFromJson(type, json, path, depth - 1)
    return kind === 'enum' ? enumFromJson(this.#enums[type.index], json, path) : scalarFromJson(kind, json, path, this.v1)
  }
}

/** The value of a field, or undefined. Properties of Object.prototype do not count. */
function held (object, field) {
  const value = get(object, field.name)
  return value === null || value === Object.prototype[field.name] ? undefined : value
}

function enter (path, depth) {
  if (depth <= 0) throw refusal(path, `messages are nested deeper than ${MAX_DEPTH} levels`, RangeError)
}

function requireObject (json, path) {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw mismatch(path, json, 'an object')
}

function severalSet (path, name) {
  return refusal(path, `only one of the properties defined in oneof ${name} can be set`)
}

module.exports = { jsonHelpers }
