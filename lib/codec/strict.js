'use strict'

/**
 * The option `strict` refuses values that an encoder accepts, but that decode to something else, or not at all. The encoders
 * are unchanged: a strict engine checks a message before it passes it to them.
 */

const { isBoxedPrimitive, isDataView, isNativeError, isPromise, isRegExp } = require('node:util/types')

const { hint } = require('../nearest')
const { get } = require('./plan')
const { Fault, named, show, within } = require('./shared/faults')
const { STANDARD } = require('./marks')
const { MAX_DEPTH, checkMessage } = require('./standard/engine')
const { checksOf, keyCheckOf } = require('./strict-scalars')

/**
 * An engine that refuses what `engine` would not store unchanged.
 *
 * @param {object} plan linked plan
 * @param {object} engine as `v1Engine` describes it
 * @returns {object} an engine of the same shape
 */
function strictEngine (plan, engine) {
  const standard = engine.encoding === STANDARD
  prepare(plan, standard)
  /** Levels of messages that can be decoded again. */
  const depth = standard ? MAX_DEPTH : Infinity
  const checked = (work) => function (type, object, ...place) {
    named(type.name, () => checkTop(type, object, depth))
    return work(type, object, ...place)
  }
  return {
    ...engine,
    strict: true,
    writers: engine.writers && engine.writers.map((write, index) => function (object, buffer, position) {
      checkTop(plan.messages[index], object, depth)
      return write(object, buffer, position)
    }),
    length: checked(engine.length),
    slow: checked(engine.slow),
    slowAt: checked(engine.slowAt)
  }
}

/** Gives each field its `check(value, depth)`, and each message its fields by name. */
function prepare (plan, standard) {
  const checks = checksOf(standard)
  for (const type of plan.messages) {
    type.byName = new Map(type.fields.map((field) => [field.name, field]))
    /** Fields that every object seems to have, because encoders find the properties of Object.prototype under their names. */
    type.inherited = type.fields.filter(({ name }) => name in Object.prototype)
    for (const field of type.fields) {
      const item = field.kind === 'message'
        ? (value, depth) => checkFields(field.type, value, depth - 1)
        : field.kind === 'enum' ? checks.enum(field.type) : checks[field.kind]
      field.item = item
      field.check = field.map
        ? (value, depth) => checkMap(field, keyCheckOf(field.type.fields[0].kind, standard), !standard, value, depth)
        : field.repeated ? (value, depth) => checkList(item, value, depth) : item
    }
  }
}

/** Throws a `Fault` about the first value of a message that would be lost or changed. */
function checkTop (type, object, depth) {
  if (object === null || object === undefined) throw new Fault(`a ${type.name} is an object, not ${object}`, TypeError)
  checkFields(type, object, depth)
}

function checkFields (type, object, depth) {
  const prototype = typeof object === 'object' ? Object.getPrototypeOf(object) : undefined
  const plain = prototype === Object.prototype || prototype === null
  if (!plain) checkRecord(type.name, object)
  if (depth <= 0) throw new Fault(`messages are nested deeper than ${MAX_DEPTH} levels, and could not be decoded`)
  for (const name of Object.keys(object)) {
    const value = get(object, name)
    const field = type.byName.get(name)
    if (field !== undefined) checkField(field, value, depth)
    else if (value !== undefined) throw within(unknownField(type, name), name)
  }
  // What an object inherits, such as getters of a class, is encoded, too.
  for (const field of plain ? type.inherited : type.fields) {
    if (!Object.hasOwn(object, field.name)) checkField(field, get(object, field.name), depth)
  }
  for (const oneof of type.oneofs) checkOneof(oneof, object)
}

function checkField (field, value, depth) {
  if (value === null || value === undefined) return
  try {
    field.check(value, depth)
  } catch (error) {
    throw within(error, field.name)
  }
}

function checkList (item, value, depth) {
  if (!Array.isArray(value) && (!ArrayBuffer.isView(value) || isDataView(value))) throw new Fault('a repeated field takes an array', TypeError)
  for (let i = 0; i < value.length; i++) {
    try {
      if (value[i] === null || value[i] === undefined) throw new Fault(`${value[i]} cannot be in a list`, TypeError)
      item(value[i], depth)
    } catch (error) {
      throw within(error, `[${i}]`)
    }
  }
}

function checkMap ({ type: { fields: [, value] } }, checkKey, v1, object, depth) {
  checkRecord('map', object)
  for (const key of Object.keys(object)) {
    const each = get(object, key)
    try {
      checkKey(key)
      // In 1.x, an entry without a value decodes to null, if absent values of this type are null.
      if (each === null && v1 && value.initial === null) continue
      if (each === null || each === undefined) throw new Fault(`${each} cannot be in a map`, TypeError)
      // The entry is a level of its own.
      value.item(each, depth - 1)
    } catch (error) {
      throw within(error, `[${show(key)}]`)
    }
  }
}

/** Refuses objects that have no fields to store. */
function checkRecord (name, value) {
  checkMessage({ name }, value)
  if (isBoxedPrimitive(value) || isPromise(value) || isRegExp(value) || isNativeError(value)) {
    throw new Fault(`a ${name} is an object with its fields, not ${show(value)}`, TypeError)
  }
}

function checkOneof ({ name, fields }, object) {
  const set = fields.filter((field) => get(object, field.name) !== null && get(object, field.name) !== undefined)
  if (set.length < 2) return
  throw within(new Fault(`only one member of oneof ${name} can be set, and '${set[0].name}' is set as well`, Error), set[1].name)
}

function unknownField (type, name) {
  const names = type.fields.map((field) => field.name)
  return new Fault(`${type.name} has no such field: ${names.length === 0 ? 'it has none' : hint(name, names)}`, TypeError)
}

module.exports = { strictEngine }
