'use strict'

/**
 * Standard protobuf for a plan: two's complement, standard packing, BigInt for 64-bit values beyond 2^53, merged duplicates.
 * Fields are written in the order of their tags. Decoded objects have 1.x's shape, defaults filled in; members of a oneof that
 * are not set are left out, so that the object can be encoded again.
 */

const { isAnyArrayBuffer, isDate, isMap, isSet } = require('node:util/types')

const { Fault, within, named, show } = require('../shared/faults')
const { charge, VIEW, FIRST, ENTRY } = require('../shared/budget')
const { define, get } = require('../plan')
const { cursor } = require('../shared/cursor')
const { Writer } = require('./writer')
const { scalars, enumeration } = require('./scalars')
const { Reader } = require('./reader')

/** Deepest nesting that is decoded: protobuf's own limit. */
const MAX_DEPTH = 100

const LENGTH_DELIMITED = 2
const GROUP = 3
const GROUP_END = 4

/**
 * @param {object} plan linked plan
 * @returns {object} the engine, as `v1Engine` describes it
 */
function standardEngine (plan) {
  plan.messages.forEach(prepare)
  const slow = (type, object) => named(type.name, function () {
    // Errors about null and undefined have 1.x's texts.
    if (isPresent(object)) checkMessage(type, object)
    return encode(type, object, new Writer()).finish()
  })
  return {
    encoding: 1,
    writers: null,
    readers: plan.messages.map((type) => function (buffer, start, end) {
      const object = decode(type, new Reader(buffer, start, end), undefined, 0, MAX_DEPTH)
      cursor.position = end
      return object
    }),
    length: (type, object) => slow(type, object).length,
    slow,
    slowAt (type, object, buffer, position) {
      const bytes = slow(type, object)
      bytes.copy(buffer, position)
      return position + bytes.length
    }
  }
}

function prepare (type) {
  type.standard = { fields: [], byTag: new Map() }
  for (const field of type.fields) {
    const scalar = field.kind === 'message' ? null : field.kind === 'enum' ? enumeration(field.type) : scalars[field.kind]
    const tag = field.standardTag === undefined ? field.tag : field.standardTag
    const standard = { field, tag, scalar, wire: field.group ? GROUP : scalar ? scalar.wire : LENGTH_DELIMITED, initial: initial(field, scalar) }
    type.standard.fields.push(standard)
    type.standard.byTag.set(tag, standard)
  }
  type.standard.fields.sort((a, b) => a.tag - b.tag)
}

/** The decoded value of an absent field. */
function initial (field, scalar) {
  if (field.repeated || field.kind === 'message') return null
  const text = field.standardDefault
  if (field.kind === 'enum') return field.type.byName.get(text) ?? field.type.standard[0]?.[1] ?? 0
  if (field.kind === 'bytes') return field.implicit ? Buffer.alloc(0) : null
  return text === undefined ? scalar.zero : scalar.parse(text)
}

/** Whether there is a value to encode. Unlike in 1.x, NaN is a value: floating-point fields store it, others refuse it. */
function isPresent (value) {
  return value !== null && value !== undefined
}

function encode (type, object, writer) {
  for (const oneof of type.oneofs) {
    if (oneof.fields.filter((field) => isPresent(get(object, field.name))).length > 1) {
      throw new Fault('only one of the properties defined in oneof ' + oneof.name + ' can be set', Error)
    }
  }
  for (const standard of type.standard.fields) {
    const { field } = standard
    const value = get(object, field.name)
    if (!isPresent(value)) {
      if (field.required && !type.entry) throw within(new Fault(field.name + ' is required', Error), field.name)
      continue
    }
    try {
      encodeField(standard, value, writer)
    } catch (err) {
      throw within(err, field.name)
    }
  }
  return writer
}

function encodeField (standard, value, writer) {
  const { field, scalar } = standard
  if (field.map) {
    if (isNoRecord(value)) throw new Fault(`a map takes an object, not ${whatIs(value)}`, TypeError)
    for (const key of Object.keys(value)) {
      const entry = { key: mapKey(field, key), value: get(value, key) }
      if (isPresent(entry.value)) encodeAt(`[${show(key)}]`, standard, entry, writer)
    }
  } else if (!field.repeated) {
    if (!field.implicit || !scalar.isZero(value)) encodeItem(standard, value, writer)
  } else {
    const list = listOf(value)
    if (!field.standardPacked) {
      list.forEach((item, i) => encodeAt(`[${i}]`, standard, item, writer))
    } else if (list.length > 0) {
      writer.header(standard.tag, LENGTH_DELIMITED)
      const start = writer.open()
      list.forEach((item, i) => writeAt(i, scalar, item, writer))
      writer.close(start)
    }
  }
}

/** Refuses values without fields. A Date, for example, would become an empty message, which as a Timestamp means 1970. */
function checkMessage (type, value) {
  if (isNoRecord(value)) throw new Fault(`a ${type.name} is an object, not ${whatIs(value)}`, TypeError)
}

/** Whether a present value has no properties that could be meant as fields. */
function isNoRecord (value) {
  return typeof value !== 'object' || Array.isArray(value) || isDate(value) || isMap(value) || isSet(value) || isAnyArrayBuffer(value) || ArrayBuffer.isView(value)
}

function whatIs (value) {
  return typeof value === 'object' ? show(value) : 'a ' + typeof value
}

function encodeAt (index, standard, item, writer) {
  try {
    encodeItem(standard, item, writer)
  } catch (err) {
    throw within(err, index)
  }
}

function writeAt (index, scalar, item, writer) {
  try {
    scalar.write(item, writer)
  } catch (err) {
    throw within(err, `[${index}]`)
  }
}

/** The present elements of a list; throws for anything that is not a list. */
function listOf (value) {
  if (!Array.isArray(value) && !ArrayBuffer.isView(value)) throw new Fault('a repeated field takes an array', TypeError)
  return Array.from(value).filter(isPresent)
}

function mapKey (field, key) {
  return field.type.fields[0].kind === 'bool' ? key === 'true' || key === '1' : key
}

function encodeItem (standard, value, writer) {
  const { field, scalar, tag, wire } = standard
  writer.header(tag, wire)
  if (scalar) {
    scalar.write(value, writer)
    return
  }
  checkMessage(field.type, value)
  if (field.group) {
    encode(field.type, value, writer)
    writer.header(tag, GROUP_END)
  } else {
    const start = writer.open()
    encode(field.type, value, writer)
    writer.close(start)
  }
}

/**
 * Reads fields up to the reader's end, or to the end of group `group`, into `object` or a new one.
 */
function decode (type, reader, object, group, depth) {
  if (depth === 0) throw new RangeError(`messages are nested deeper than ${MAX_DEPTH} levels`)
  if (!object) {
    charge(cursor, type.cost)
    object = fresh(type)
  }
  for (;;) {
    if (reader.position >= reader.end) {
      if (group) throw new RangeError('a group does not end')
      break
    }
    const { tag, wire } = reader.header()
    if (wire === GROUP_END && tag === group) break
    const standard = type.standard.byTag.get(tag)
    if (!standard || !decodeField(standard, object, reader, wire, depth)) reader.skip(tag, wire, depth)
  }
  if (!type.entry) {
    for (const { field } of type.standard.fields) {
      if (field.required && !foundIn.get(object).has(field)) throw new Error('Decoded message is not valid')
    }
  }
  return object
}

/** Required fields that were read, by object. A message may come in several parts, which must be complete together. */
const foundIn = new WeakMap()

function fresh (type) {
  const object = {}
  if (type.fields.some((field) => field.required) && !type.entry) foundIn.set(object, new Set())
  for (const field of type.fields) {
    if (field.oneof) continue
    define(object, field.name, field.repeated ? (field.map ? {} : []) : copyOf(type.standard.byTag.get(field.standardTag ?? field.tag).initial))
  }
  return object
}

function copyOf (value) {
  return Buffer.isBuffer(value) ? Buffer.from(value) : value
}

/** Returns false when the wire type does not fit: the field then counts as unknown. */
function decodeField (standard, object, reader, wire, depth) {
  const { field, scalar } = standard
  if (wire === LENGTH_DELIMITED && field.repeated && scalar && scalar.wire !== LENGTH_DELIMITED) {
    const list = get(object, field.name)
    if (list.length === 0) charge(cursor, FIRST)
    const end = reader.open()
    while (reader.position < reader.end) list.push(scalar.read(reader))
    reader.close(end)
    return true
  }
  if (wire !== standard.wire) return false
  if (field.oneof) {
    for (const other of field.oneof.fields) if (other !== field) delete object[other.name]
  }
  if (scalar) {
    if (field.kind === 'bytes') charge(cursor, VIEW)
    const value = scalar.read(reader)
    if (field.repeated) append(get(object, field.name), value)
    else define(object, field.name, value)
  } else {
    decodeMessage(standard, object, reader, depth)
  }
  if (field.required) foundIn.get(object)?.add(field)
  return true
}

function decodeMessage ({ field, tag }, object, reader, depth) {
  const current = field.repeated ? undefined : get(object, field.name) || undefined
  let value
  if (field.group) {
    value = decode(field.type, reader, current, tag, depth - 1)
  } else {
    const end = reader.open()
    value = decode(field.type, reader, current, 0, depth - 1)
    reader.close(end)
  }
  if (field.map) {
    charge(cursor, ENTRY)
    const { kind, type } = field.type.fields[1]
    const absent = kind === 'message' ? () => charged(type) : () => Buffer.alloc(0)
    define(get(object, field.name), String(value.key), value.value === null ? absent() : value.value)
  } else if (field.repeated) {
    append(get(object, field.name), value)
  } else {
    define(object, field.name, value)
  }
}

function charged (type) {
  charge(cursor, type.cost)
  return fresh(type)
}

function append (list, value) {
  if (list.length === 0) charge(cursor, FIRST)
  list.push(value)
}

module.exports = { standardEngine, checkMessage, MAX_DEPTH }
