'use strict'

/** One schema in two forms: as text for this module, and as a descriptor for @bufbuild/protobuf. */

const WKT = 'google.protobuf.'
const FILES = { Any: 'any', Struct: 'struct', Value: 'struct', ListValue: 'struct', NullValue: 'struct', FieldMask: 'field_mask', Empty: 'empty', Timestamp: 'timestamp', Duration: 'duration' }
const SCALARS = ['double', 'float', 'int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64', 'fixed32', 'fixed64', 'sfixed32', 'sfixed64', 'bool', 'string', 'bytes']
const WRAPPERS = ['DoubleValue', 'FloatValue', 'Int64Value', 'UInt64Value', 'Int32Value', 'UInt32Value', 'BoolValue', 'StringValue', 'BytesValue']
const KEYS = ['int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64', 'fixed32', 'sfixed32', 'bool', 'string']
const SPECIAL = [...Object.keys(FILES), ...WRAPPERS]

/** `{ name, json, type, label, key, oneof }`; of a map `type` is what it holds. */
const fields = [
  ...SCALARS.map((type) => ({ name: `one_${type}`, json: 'one' + capital(type), type })),
  ...SCALARS.map((type) => ({ name: `many_${type}`, json: 'many' + capital(type), type, label: 'repeated' })),
  ...KEYS.map((key) => ({ name: `by_${key}`, json: 'by' + capital(key), type: 'int32', key })),
  ...['M', 'E', 'bytes', 'double', 'int64', WKT + 'Value', WKT + 'Timestamp', WKT + 'Any'].map((type, i) => ({ name: `map${i}`, json: `map${i}`, type, key: 'string' })),
  ...SPECIAL.map((name) => ({ name: `wkt_${name}`, json: 'wkt' + name, type: WKT + name })),
  ...SPECIAL.map((name) => ({ name: `list_of_${name}`, json: 'listOf' + name, type: WKT + name, label: 'repeated' })),
  { name: 'self', json: 'self', type: 'M' },
  { name: 'selves', json: 'selves', type: 'M', label: 'repeated' },
  { name: 'e', json: 'e', type: 'E' },
  { name: 'es', json: 'es', type: 'E', label: 'repeated' },
  { name: 'renamed_one', json: 'other-Name', type: 'int32', renamed: true },
  { name: '__proto__', json: 'Proto', type: 'string' },
  { name: 'constructor', json: 'constructor', type: 'int32' },
  { name: 'o_int', json: 'oInt', type: 'int32', oneof: 'choice' },
  { name: 'o_text', json: 'oText', type: 'string', oneof: 'choice' },
  { name: 'o_null', json: 'oNull', type: WKT + 'NullValue', oneof: 'choice' },
  { name: 'o_value', json: 'oValue', type: WKT + 'Value', oneof: 'choice' },
  { name: 'o_self', json: 'oSelf', type: 'M', oneof: 'choice' }
].map((field, i) => ({ ...field, number: i + 1 }))

const enumValues = [['ZERO', 0], ['ONE', 1], ['EINS', 1], ['MINUS', -1]]

function capital (word) {
  return word[0].toUpperCase() + word.slice(1)
}

const imports = [...new Set([...Object.values(FILES), 'wrappers'])].map((file) => `google/protobuf/${file}.proto`)

function text () {
  const declare = ({ name, type, label, key, number, json, renamed }) =>
    `${key ? `map<${key}, ${type}>` : `${label || ''} ${type}`} ${name} = ${number}${renamed ? ` [json_name = "${json}"]` : ''};`
  return `syntax = "proto3"; package p; ${imports.map((file) => `import "${file}";`).join(' ')}
    message M { ${fields.filter(({ oneof }) => !oneof).map(declare).join('\n')} oneof choice { ${fields.filter(({ oneof }) => oneof).map(declare).join(' ')} } }
    enum E { option allow_alias = true; ${enumValues.map(([name, number]) => `${name} = ${number};`).join(' ')} }`
}

/** The file's descriptor in its JSON form. */
function descriptor () {
  const typed = (type) => SCALARS.includes(type)
    ? { type: 'TYPE_' + type.toUpperCase() }
    : { type: type === 'E' || type.endsWith('.NullValue') ? 'TYPE_ENUM' : 'TYPE_MESSAGE', typeName: type.startsWith(WKT) ? '.' + type : '.p.' + type }
  const entries = fields.filter(({ key }) => key).map(({ number, key, type }) => ({
    name: `Entry${number}`,
    options: { mapEntry: true },
    field: [['key', 1, key], ['value', 2, type]].map(([name, number, type]) => ({ name, jsonName: name, number, label: 'LABEL_OPTIONAL', ...typed(type) }))
  }))
  return {
    name: 'p.proto',
    package: 'p',
    syntax: 'proto3',
    dependency: imports,
    enumType: [{ name: 'E', options: { allowAlias: true }, value: enumValues.map(([name, number]) => ({ name, number })) }],
    messageType: [{
      name: 'M',
      nestedType: entries,
      oneofDecl: [{ name: 'choice' }],
      field: fields.map(({ name, json, number, type, label, key, oneof }) => ({
        name,
        jsonName: json,
        number,
        label: label || key ? 'LABEL_REPEATED' : 'LABEL_OPTIONAL',
        ...key ? { type: 'TYPE_MESSAGE', typeName: `.p.M.Entry${number}` } : typed(type),
        ...oneof ? { oneofIndex: 0 } : {}
      }))
    }]
  }
}

/** M as @bufbuild/protobuf has it: `read(json)`, `write(message)`, `bytes(message)`, `parse(bytes)`. */
function reference (from) {
  const { createRegistry, createFileRegistry, fromJson, toJson, fromBinary, toBinary } = from('@bufbuild/protobuf')
  const wkt = from('@bufbuild/protobuf/wkt')
  const known = new Map(Object.keys(wkt).filter((name) => name.startsWith('file_')).map((name) => [wkt[name].proto.name, wkt[name]]))
  const file = fromJson(wkt.FileDescriptorProtoSchema, descriptor())
  const files = createFileRegistry(file, (name) => known.get(name) || known.get(name.replace(/\.proto$/, '')))
  const M = files.getMessage('p.M')
  const registry = createRegistry(M, ...[...known.values()].flatMap(({ messages }) => messages))
  return {
    read: (json) => fromJson(M, json, { registry }),
    write: (message) => toJson(M, message, { registry }),
    bytes: (message) => Buffer.from(toBinary(M, message)),
    parse: (bytes) => fromBinary(M, bytes)
  }
}

module.exports = { WKT, WRAPPERS, fields, text, reference }
