'use strict'

/**
 * Interprets the plan in 1.x's encoding, with the same steps as the code that protocol-buffers 3.2.1 generates. It is used
 * where code generation from strings is forbidden. Everywhere, it decides about odd values, and which of several errors is
 * thrown.
 */

const { otherWireType } = require('../../errors')
const { define, get } = require('../plan')
const { Fault, within, show } = require('../shared/faults')
const { charge, VIEW, FIRST, ENTRY } = require('../shared/budget')
const { cursor, SUSPECT } = require('../shared/cursor')
const { scalars, enumeration, defined, skip, varintLength, writeVarint, readVarint, MAX_TAG } = require('./wire')

/** Kinds whose values are Buffers. */
const VIEWED = new Set(['bytes', 'fixed64', 'sfixed64'])

/** Most elements of a repeated field. A sparse array or `{ length: Infinity }` must not block the process for long. */
const MAX_ELEMENTS = 2 ** 26

/** Binds the plan's messages to `encodingLength`, `encode` and `decode`. */
function prepare (plan) {
  for (const message of plan.messages) {
    message.byTag = new Map()
    for (const field of message.fields) {
      if (field.tag <= MAX_TAG) message.byTag.set(field.tag, field)
      field.codec = field.kind === 'enum' ? enumeration(field.type) : field.kind === 'message' ? nested(field) : scalars[field.kind]
      field.header = (field.tag << 3 | field.wire) >>> 0
      field.headerLength = varintLength(field.header)
      /** The wire type that 1.x writes before its values. */
      field.expected = field.packed ? 2 : field.wire
    }
  }
}

function nested ({ type, bare }) {
  return {
    length: (value) => encodingLength(type, value),
    write: (value, buffer, position) => encodeTo(type, value, buffer, position),
    read (buffer, position) {
      if (bare) return decodeFrom(type, buffer, position, buffer.length)
      const length = readVarint(buffer, position)
      const start = cursor.position
      return decodeFrom(type, buffer, start, start + length)
    }
  }
}

/** Adds to a fault which field it was in, and what was wrong with the value. */
function located (err, field, value) {
  if (err instanceof Fault && err.reason === undefined) err.reason = describe(field, value)
  return within(err, field.name)
}

/** Like `located`, for one element of a list, or one entry of a map. */
function at (err, field, item, index) {
  if (err instanceof Fault && err.reason === undefined) err.reason = describe(field, item)
  return within(err, `[${field.map ? show(item.key) : index}]`)
}

function describe (field, value) {
  if (field.tag > MAX_TAG) return `1.x cannot encode tag ${field.tag}, only tags below ${MAX_TAG + 1}: renumber the field, or use protobuf: 'standard'`
  const kind = field.kind === 'enum' ? 'enum ' + field.type.name : field.kind
  return `${show(value)} cannot be encoded as ${kind}`
}

/** What a repeated field or a map iterates over. */
function elements (field, value) {
  if (field.map) return Object.keys(value).map((key) => ({ key, value: get(value, key) }))
  if (value.length > MAX_ELEMENTS) {
    throw new Fault(`${value.length} elements are more than the ${MAX_ELEMENTS} allowed`)
  }
  return value
}

function checkOneofs (type, object) {
  for (const oneof of type.oneofs) {
    let count = 0
    for (const field of oneof.fields) {
      count += defined(get(object, field.name))
      if (count > 1) throw within(new Error('only one of the properties defined in oneof ' + oneof.name + ' can be set'), field.name)
    }
  }
}

/** Whether a field is present; throws if a required one is not. */
function present (field, value) {
  if (defined(value)) return true
  if (field.required) throw within(new Error(field.name + ' is required'), field.name)
  return false
}

/** Bytes that 1.x announces for `object`. Throws what 1.x throws. */
function encodingLength (type, object) {
  let length = 0
  checkOneofs(type, object)
  for (const field of type.fields) {
    const value = get(object, field.name)
    if (!present(field, value)) continue
    try {
      length += fieldLength(field, value)
    } catch (err) {
      throw located(err, field, value)
    }
  }
  return length
}

function fieldLength (field, value) {
  if (!field.repeated) return field.headerLength + itemLength(field, value)
  const list = elements(field, value)
  let length = 0
  for (let i = 0; i < list.length; i++) {
    if (!defined(list[i])) continue
    try {
      length += itemLength(field, list[i])
    } catch (err) {
      throw at(err, field, list[i], i)
    }
    if (!field.packed) length += field.headerLength
  }
  if (field.packed && length) length += field.headerLength + varintLength(length)
  return length
}

function itemLength (field, item) {
  const length = field.codec.length(item)
  return hasLength(field) ? length + varintLength(length) : length
}

/** Whether a message's length is written before it. */
function hasLength (field) {
  return field.kind === 'message' && !field.bare
}

/** Writes `object` at `position`; returns the position after it. */
function encodeTo (type, object, buffer, position) {
  checkOneofs(type, object)
  for (const field of type.fields) {
    const value = get(object, field.name)
    if (!present(field, value)) continue
    try {
      position = writeField(field, value, buffer, position)
    } catch (err) {
      throw located(err, field, value)
    }
  }
  return position
}

function writeField (field, value, buffer, position) {
  if (field.tag > MAX_TAG) throw new Fault()
  if (!field.repeated) return writeItem(field, value, buffer, writeVarint(field.header, buffer, position))
  const list = elements(field, value)
  if (field.packed) position = writePackedLength(field, list, buffer, position)
  for (let i = 0; i < list.length; i++) {
    if (!defined(list[i])) continue
    if (!field.packed) position = writeVarint(field.header, buffer, position)
    try {
      position = writeItem(field, list[i], buffer, position)
    } catch (err) {
      throw at(err, field, list[i], i)
    }
  }
  return position
}

/** 1.x leaves out the length prefixes of packed messages, which a nested message may declare. */
function writePackedLength (field, list, buffer, position) {
  let length = 0
  for (let i = 0; i < list.length; i++) {
    if (defined(list[i])) length += field.codec.length(list[i])
  }
  if (!length) return position
  position = writeVarint((field.tag << 3 | 2) >>> 0, buffer, position)
  return writeVarint(length, buffer, position)
}

/** Writes one value; throws unless it takes as many bytes as were announced. */
function writeItem (field, item, buffer, position) {
  try {
    const length = field.codec.length(item)
    if (hasLength(field)) position = writeVarint(length, buffer, position)
    const end = field.codec.write(item, buffer, position)
    if (end - position !== length) throw new Fault()
    return end
  } catch (err) {
    if (err instanceof Fault && err.reason === undefined) err.reason = describe(field, item)
    throw err
  }
}

/** Reads a message from `position` up to `end`, as 1.x's nested and public decoders do. */
function decodeFrom (type, buffer, position, end) {
  if (!(end <= buffer.length && position <= buffer.length)) throw invalid()
  charge(cursor, type.cost)
  const object = {}
  for (const field of type.fields) define(object, field.name, field.repeated ? field.map ? {} : [] : field.initial)
  let missing = 0
  const found = new Set()
  for (const field of type.fields) missing += field.required
  while (position < end) {
    const prefix = readVarint(buffer, position)
    position = cursor.position
    const field = type.byTag.get(prefix >> 3)
    if (!field) {
      position = skip(prefix & 7, buffer, position)
      continue
    }
    if ((prefix & 7) !== field.expected) drifted(type, field, prefix & 7)
    if (field.oneof) {
      for (const other of field.oneof.fields) if (other !== field) delete object[other.name]
    }
    if (field.packed) {
      const length = readVarint(buffer, position)
      position = readPacked(field, object, buffer, cursor.position, cursor.position + length)
    } else {
      readItem(field, object, buffer, position)
      position = cursor.position
    }
    if (field.required && !found.has(field)) {
      found.add(field)
      missing--
    }
  }
  if (missing) throw invalid()
  cursor.position = position
  return object
}

function readPacked (field, object, buffer, position, end) {
  if (end > buffer.length && unbounded(field.kind)) throw new RangeError('Could not decode packed ' + field.kind)
  while (position < end) {
    readItem(field, object, buffer, position)
    position = cursor.position
  }
  return position
}

/**
 * Whether 1.x reads values of this kind beyond the end of the buffer without an error, for as many elements as a length claims.
 */
function unbounded (kind) {
  return kind === 'bool' || kind === 'fixed64' || kind === 'sfixed64'
}

function readItem (field, object, buffer, position) {
  if (VIEWED.has(field.kind)) charge(cursor, VIEW)
  const value = field.codec.read(buffer, position)
  if (field.map) {
    charge(cursor, ENTRY)
    // 1.x assigns to `__proto__`, which does not add a key.
    if (value.key !== '__proto__') get(object, field.name)[value.key] = value.value
  } else if (field.repeated) {
    const list = get(object, field.name)
    if (list.length === 0) charge(cursor, FIRST)
    list.push(value)
  } else {
    define(object, field.name, value)
  }
}

/** Descriptions of the wire types' values. */
const LOOKS = ['a varint', 'eight bytes', 'text, bytes, a message or a packed list', 'a group', 'a group', 'four bytes']

/**
 * Handles a field with a wire type that no encoder of this schema writes. 1.x reads it as if it had the right wire type, and
 * gets a wrong value.
 */
function drifted (type, field, wire) {
  cursor.reached = SUSPECT
  if (!cursor.strict) return
  const kind = (field.packed ? 'packed ' : '') + (field.type ? field.type.name : field.kind)
  throw otherWireType(`${type.name}.${field.name}`, kind, LOOKS[wire] ?? 'no known type')
}

function invalid () {
  return new Error('Decoded message is not valid')
}

module.exports = { prepare, encodingLength, encodeTo, decodeFrom, invalid }
