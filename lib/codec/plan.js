'use strict'

/**
 * The plan that Rust exports (src/codec/plan.rs), linked: fields point at their types, and carry what encoders of
 * both encodings need to know about them.
 *
 * @typedef {object} Field
 * @property {string} name
 * @property {string} json its name in JSON
 * @property {string} kind 'message', 'enum' or a scalar
 * @property {Message | Enum | null} type of a message or enum
 * @property {boolean} repeated
 * @property {boolean} required
 * @property {boolean} map its messages are the entries of a map: key and value
 * @property {{ name: string, fields: Field[] } | null} oneof
 *
 * @typedef {object} Message
 * @property {string} name
 * @property {string} full its qualified name
 * @property {number} index
 * @property {Field[]} fields
 * @property {Named[]} nested
 * @property {boolean} [entry] it is the entry of a map
 *
 * @typedef {object} Enum
 * @property {number} index
 * @property {object} exported numbers by name
 *
 * @typedef {{ name: string, kind: 'message' | 'enum', type: Message | Enum }} Named
 * @typedef {{ top: Named[], messages: Message[], enums: Enum[] }} Plan
 */

const { costOf } = require('./shared/budget')

/** Names that 1.x resolves to its built-in encodings, even if a message with this name is declared. */
const BUILT_IN = new Set(['bytes', 'string', 'bool', 'int32', 'int64', 'sint32', 'sint64', 'uint32', 'uint64', 'enum',
  'varint', 'fixed64', 'sfixed64', 'double', 'fixed32', 'sfixed32', 'float'])

/** Wire types of scalars; enums travel as varints. */
const WIRE = { double: 1, float: 5, int32: 0, int64: 0, uint32: 0, uint64: 0, sint32: 0, sint64: 0, fixed32: 5, fixed64: 1, sfixed32: 5, sfixed64: 1, bool: 0, string: 2, bytes: 2 }

/**
 * A plan for encoders.
 *
 * @param {string} json the plan as Rust wrote it
 * @param {boolean} [bare] whether fields that 1.x writes bare are written bare; otherwise every message has its length
 * @returns {Plan}
 */
function link (json, bare) {
  const plan = linkTypes(JSON.parse(json))
  for (const message of plan.messages) {
    // In standard protobuf an entry may lack its key; in 1.x it may not.
    if (message.entry) message.fields[0].required = true
    for (const field of message.fields) {
      field.bare = bare === true && field.bare === true
      if (field.bare) field.wire = 0
      field.initial = v1Default(field)
    }
    message.cost = costOf(message)
  }
  markBare(plan)
  return plan
}

/**
 * Replaces the references of a plan by what they refer to.
 *
 * @param {object} plan as Rust exports it; it becomes the linked one
 * @returns {Plan}
 */
function linkTypes (plan) {
  plan.enums.forEach(function (type, index) {
    type.index = index
    prepareEnum(type)
  })
  plan.messages.forEach(function (message, index) {
    message.index = index
    message.nested.forEach((named) => resolve(named, plan))
    message.oneofs = message.oneofs.map((name) => ({ name, fields: [] }))
    message.fields.forEach(function (field, index) {
      field.index = index
      field.oneof = field.oneof === undefined ? null : message.oneofs[field.oneof]
      if (field.oneof) field.oneof.fields.push(field)
      resolve(field, plan)
      if (field.map) field.type.entry = true
    })
  })
  plan.top.forEach((named) => resolve(named, plan))
  return plan
}

/** Sets `type.bare` for all messages that can contain a bare field, at any depth. */
function markBare (plan) {
  const users = new Map()
  const found = []
  for (const type of plan.messages) {
    type.bare = type.fields.some((field) => field.bare)
    if (type.bare) found.push(type)
    for (const field of type.fields) {
      if (field.kind !== 'message') continue
      const list = users.get(field.type)
      if (list) list.push(type)
      else users.set(field.type, [type])
    }
  }
  while (found.length > 0) {
    for (const user of users.get(found.pop()) ?? []) {
      if (!user.bare) found.push(user)
      user.bare = true
    }
  }
}

/** Replaces the type reference of a field or an export by `kind` ('message', 'enum' or a scalar) and `type`. */
function resolve (holder, plan) {
  const { message, enum: index, scalar } = holder.type
  if (message !== undefined) {
    holder.kind = 'message'
    holder.type = plan.messages[message]
    holder.wire = 2
  } else if (index !== undefined) {
    holder.kind = 'enum'
    holder.type = plan.enums[index]
    holder.wire = 0
  } else {
    holder.kind = scalar
    holder.type = null
    holder.wire = WIRE[scalar]
  }
}

/** 1.x compares with `parseInt` of the values, and exports `Number` of them. */
function prepareEnum (type) {
  const exported = {}
  for (const [name, text] of type.values) define(exported, name, Number(text))
  type.exported = exported
  type.numbers = new Set(Object.keys(exported).map((name) => parseInt(exported[name], 10)).filter((n) => !Number.isNaN(n)))
  type.byName = new Map(type.standard)
  type.byNumber = new Map(type.standard.slice().reverse().map(([name, number]) => [number, name]))
}

/** What 1.x puts into a decoded object for an absent field. */
function v1Default (field) {
  if (field.repeated) return undefined
  const text = field.default
  switch (field.kind) {
    case 'message':
    case 'bytes':
    case 'fixed64':
    case 'sfixed64':
      return null
    case 'enum':
      return v1EnumDefault(field.type.exported, text)
    case 'string':
      return quoted(text)
    case 'bool':
      return text === 'true'
    default:
      // The literal that 1.x generates turns -0 into 0.
      return Number(text || 0) + 0
  }
}

/** The default of an enum. If it names no value, the first value is used. */
function v1EnumDefault (values, text) {
  const chosen = Object.hasOwn(values, text) ? text : Object.keys(values)[0]
  return parseInt(values[chosen] || 0, 10)
}

/** The string whose JSON literal is `text`; undefined if it is none. */
function quoted (text) {
  try {
    const value = text ? JSON.parse(text) : ''
    return typeof value === 'string' ? value : ''
  } catch (err) {
    return ''
  }
}

/** Defines an own property with any name, even `__proto__`. */
function define (object, key, value) {
  if (key === '__proto__') {
    Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
  } else {
    object[key] = value
  }
}

/** The value of a field; `__proto__` counts only as an own property. */
function get (object, key) {
  return key !== '__proto__' || Object.hasOwn(object, key) ? object[key] : undefined
}

module.exports = { link, linkTypes, define, get, BUILT_IN }
