'use strict'

/** The messages of google.protobuf that have a JSON form of their own. */

const { timestamp, duration } = require('./time')
const { any } = require('./any')
const { scalarToJson, scalarFromJson, zeroToJson } = require('./scalars')
const { mismatch, refusal } = require('./errors')

const wrapper = {
  toJson (mapping, { fields: [{ kind }] }, { value }, path) {
    return value === null || value === undefined ? zeroToJson(kind) : scalarToJson(kind, value, path)
  },
  fromJson: (mapping, { fields: [{ kind }] }, json, path) => ({ value: scalarFromJson(kind, json, path, mapping.v1) })
}

const struct = {
  toJson: (mapping, { fields: [field] }, object, path, depth) => mapping.mapToJson(field, object.fields ?? {}, path, depth),
  fromJson: (mapping, { fields: [field] }, json, path, depth) => ({ fields: mapping.mapFromJson(field, json, path, depth) })
}

const listValue = {
  toJson: (mapping, { fields: [field] }, object, path, depth) => mapping.listToJson(field, object.values ?? [], path, depth),
  fromJson: (mapping, { fields: [field] }, json, path, depth) => ({ values: mapping.listFromJson(field, json, path, depth) })
}

const value = {
  takesNull: true,

  toJson (mapping, type, object, path, depth) {
    const field = mapping.chosen(type.oneofs[0], object, path)
    if (!field) throw refusal(path, 'a Value that holds nothing has no JSON form')
    const held = object[field.name]
    if (field.name !== 'number_value') return mapping.itemToJson(field, held, path, depth)
    if (!Number.isFinite(held)) throw mismatch(path, held, 'a number that JSON has')
    return held
  },

  fromJson (mapping, type, json, path, depth) {
    const name = json === null
      ? 'null_value'
      : Array.isArray(json) ? 'list_value' : { number: 'number_value', string: 'string_value', boolean: 'bool_value', object: 'struct_value' }[typeof json]
    if (!name || (name === 'number_value' && !Number.isFinite(json))) throw mismatch(path, json, 'a JSON value')
    const field = type.fields.find((field) => field.name === name)
    return { [name]: mapping.itemFromJson(field, json, path, depth) }
  }
}

const toCamel = (path) => path.replace(/_[a-z]/g, ([, letter]) => letter.toUpperCase())
const toSnake = (path) => path.replace(/[A-Z]/g, (letter) => '_' + letter.toLowerCase())

/** A path that would be read back differently is refused, because it would name another field. */
const fieldMask = {
  toJson (mapping, { fields: [field] }, object, path, depth) {
    return mapping.listToJson(field, object.paths ?? [], path, depth).map(function (each) {
      const camel = toCamel(each)
      if (each === '' || each.includes(',') || camel.includes('_') || toSnake(camel) !== each) throw mismatch(path, each, 'a path that a FieldMask in JSON can hold')
      return camel
    }).join(',')
  },

  fromJson (mapping, type, json, path) {
    if (typeof json !== 'string') throw mismatch(path, json, 'a string')
    if (json === '') return { paths: [] }
    return {
      paths: json.split(',').map(function (each) {
        if (each === '' || each.includes('_') || !each.isWellFormed()) throw mismatch(path, each, 'a path in lowerCamelCase')
        return toSnake(each)
      })
    }
  }
}

/** By qualified name: the fields by which the well-known message is recognised, and its form. */
const FORMS = {
  Any: ['type_url:string value:bytes', any],
  Duration: ['nanos:int32 seconds:int64', duration],
  FieldMask: ['paths:[string]', fieldMask],
  ListValue: ['values:[google.protobuf.Value]', listValue],
  Struct: ['fields:{string google.protobuf.Value}', struct],
  Timestamp: ['nanos:int32 seconds:int64', timestamp],
  Value: ['bool_value:bool list_value:google.protobuf.ListValue null_value:google.protobuf.NullValue number_value:double string_value:string struct_value:google.protobuf.Struct', value]
}
for (const kind of ['double', 'float', 'int64', 'uint64', 'int32', 'uint32', 'bool', 'string', 'bytes']) {
  const name = kind.replace(/^u?./, (start) => start.toUpperCase()) + 'Value'
  FORMS[name] = ['value:' + kind, wrapper]
}
const forms = new Map(Object.entries(FORMS).map(([name, form]) => ['google.protobuf.' + name, form]))

/**
 * The special form of a message, or undefined. Fields are compared, too, because a user's message may have a well-known name.
 */
function formOf (type) {
  const [shape, form] = forms.get(type.full) || []
  return form && type.fields.map(fieldShape).sort().join(' ') === shape ? form : undefined
}

function fieldShape (field) {
  const holds = ({ kind, type }) => type ? type.full : kind
  const shape = field.map ? `{${field.type.fields.map(holds).join(' ')}}` : field.repeated ? `[${holds(field)}]` : holds(field)
  return `${field.name}:${shape}`
}

module.exports = { formOf }
