'use strict'

/**
 * Generates encoders and decoders of a plan as JavaScript source. Text of the schema gets into the source only as JSON
 * literals: local variables are named by index, and properties are accessed with escaped literals.
 */

const { VIEW, FIRST, ENTRY } = require('../shared/budget')
const { MAX_TAG } = require('./wire')

/** A JavaScript literal; no character in it can end a string or a line. */
function literal (value) {
  if (typeof value !== 'string') return Object.is(value, -0) ? '0' : String(value)
  return JSON.stringify(value).replace(/[\u2028\u2029<]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'))
}

/** Reads property `name` of `object`. */
function property (object, name) {
  const access = `${object}[${literal(name)}]`
  return name === '__proto__' ? `(Object.hasOwn(${object}, ${literal(name)}) ? ${access} : undefined)` : access
}

/** A key of an object literal. `__proto__` becomes a computed key, because it would set the prototype otherwise. */
function key (name) {
  return name === '__proto__' ? `[${literal(name)}]` : literal(name)
}

/** The bytes of a constant varint. */
function varintBytes (value) {
  const bytes = []
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128)
  bytes.push(value)
  return bytes
}

function writeHeader (value) {
  return varintBytes(value).map((byte) => `b[p++] = ${byte};`).join(' ')
}

/** Writes local `v`, which is known to be defined, after the header. */
function writeValue (field) {
  switch (field.kind) {
    case 'int32':
    case 'uint32':
    case 'int64':
    case 'uint64':
      return `if (typeof v === 'number' && v >= 0 && v < 2147483648) { x = v | 0; if (x < 128) b[p++] = x; else p = R.writeInteger(b, p, x) } else if (typeof v === 'number' && v > 0 && v <= 9007199254740992) p = R.writeBig(b, p, v); else p = R.writeScalar(W.${field.kind}, b, p, v)`
    case 'sint32':
    case 'sint64':
      return `if (typeof v === 'number' && v >= -536870912 && v < 536870912 && (x = v | 0) === v) { x = x >= 0 ? x * 2 : x * -2 - 1; if (x < 128) b[p++] = x; else p = R.writeInteger(b, p, x) } else p = R.writeScalar(W.${field.kind}, b, p, v)`
    case 'bool':
      return 'b[p++] = v ? 1 : 0'
    case 'string':
      return 'p = R.writeString(b, p, v)'
    case 'bytes':
      return 'p = R.writeBytes(b, p, v)'
    case 'double':
      return 'p = R.writeDouble(b, p, v)'
    case 'float':
      return 'p = R.writeFloat(b, p, v)'
    case 'fixed32':
      return 'p = R.writeFixed32(b, p, v)'
    case 'sfixed32':
      return 'p = R.writeSfixed32(b, p, v)'
    case 'fixed64':
    case 'sfixed64':
      return 'p = R.writeRaw64(b, p, v)'
    case 'enum':
      return `if (!(${memberTest(field.type, 'v')})) throw R.ODD; if (v < 128) b[p++] = v; else p = R.writeScalar(W.uint64, b, p, v)`
    case 'message':
      if (field.bare) return `p = e${field.type.index}(v, b, p)`
      return `p = R.writeLength(b, p, e${field.type.index}(v, b, p + 1))`
  }
}

/** Up to this many values are compared one by one. */
const FEW = 6

function memberTest (type, value) {
  // Negative numbers are left to the interpreter: 1.x cannot write them.
  const numbers = [...type.numbers].filter((number) => number >= 0)
  if (numbers.length === 0) return 'false'
  if (numbers.length > FEW) return `N${type.index}.has(${value}) && ${value} >= 0`
  return numbers.map((number) => `${value} === ${number}`).join(' || ')
}

const DEFINED = 'v !== null && v !== undefined && v === v'

function encoder (type) {
  const lines = [`function e${type.index} (o, b, p) {`, 'let v, x, q;']
  for (const oneof of type.oneofs) {
    const counts = oneof.fields.map((field) => `((v = ${property('o', field.name)}) !== null && v !== undefined && v === v ? 1 : 0)`)
    lines.push(`if (${counts.join(' + ')} > 1) throw R.ODD;`)
  }
  for (const field of type.fields) {
    lines.push(`v = ${property('o', field.name)};`, `if (${DEFINED}) {`, writeField(field), `}${field.required ? ' else throw R.ODD;' : ''}`)
  }
  lines.push('return p', '}')
  return lines.join('\n')
}

function writeField (field) {
  // Nested messages may declare packed messages and strings, which is hardly ever intended. These are left to the interpreter.
  if (field.tag > MAX_TAG || (field.packed && (field.wire === 2 || field.bare))) return 'throw R.ODD;'
  if (field.map) return writeMap(field)
  if (!field.repeated) return `${writeHeader(field.tag * 8 + field.wire)} ${writeValue(field)};`
  const loop = (each) => `for (let i = 0, l = v; i < l.length; i++) { const v = l[i]; if (!(${DEFINED})) continue; ${each} ${writeValue(field)}; }`
  const check = 'if (!Array.isArray(v)) throw R.ODD;'
  if (!field.packed) return `${check} ${loop(writeHeader(field.tag * 8 + field.wire))}`
  const header = varintBytes(field.tag * 8 + 2)
  return `${check} q = p; ${writeHeader(field.tag * 8 + 2)} p++; ${loop('')} ` +
    `if (p === q + ${header.length + 1}) p = q; else p = R.writeLength(b, q + ${header.length}, p);`
}

function writeMap (field) {
  const [keyField, valueField] = field.type.fields
  if (keyField.kind === 'enum') return 'throw R.ODD;'
  // Keys are strings; for all other key types they are converted to numbers, as in 1.x.
  const writeKey = keyField.kind === 'string' ? 'p = R.writeString(b, p, v)' : keyField.kind === 'bool' ? 'b[p++] = v ? 1 : 0' : keyField.wire === 0 ? `p = R.writeScalar(W.${keyField.kind}, b, p, v)` : null
  if (writeKey === null) return 'throw R.ODD;'
  return `const m = v; const k = Object.keys(m); for (let i = 0; i < k.length; i++) { let v = k[i]; const w = ${'v === "__proto__" ? Object.getOwnPropertyDescriptor(m, v).value : m[v]'}; ` +
    `${writeHeader(field.tag * 8 + 2)} const s = p++; ${writeHeader(keyField.tag * 8 + keyField.wire)} ${writeKey}; ` +
    `v = w; if (${DEFINED}) { ${writeHeader(valueField.tag * 8 + valueField.wire)} ${writeValue(valueField)}; } p = R.writeLength(b, s, p); }`
}

/** Reads a varint into `target`. */
function readVarint (target) {
  return `if ((${target} = b[p]) < 128) p++; else if ((x = b[p + 1]) < 128) { ${target} = ${target} & 127 | x << 7; p += 2 } else { ${target} = R.readVarint(b, p); p = C.position }`
}

/** Charges the memory of what is about to be made. */
function charge (cost) {
  return `if ((C.left -= ${cost}) < 0) R.overdrawn();`
}

/** Reads one value into `target`. */
function readValue (field, target) {
  switch (field.kind) {
    case 'int32':
      return `${readVarint(target)} if (${target} > 2147483647) ${target} -= 4294967296;`
    case 'uint32':
    case 'uint64':
      return readVarint(target)
    case 'int64':
      return `if ((${target} = b[p]) < 128) p++; else { ${target} = R.readVarint(b, p); if (${target} >= 9223372036854775808) ${target} = W.int64.read(b, p); p = C.position }`
    case 'sint32':
    case 'sint64':
      return `${readVarint('n')} ${target} = n & 1 ? (n + 1) / -2 : n / 2;`
    case 'bool':
      return `${target} = b[p++] > 0;`
    case 'string':
      return `${readVarint('n')} ${target} = s(b, p, p + n); p += n;`
    case 'bytes':
      return `${readVarint('n')} ${charge(VIEW)} ${target} = R.readBytes(b, p, n); p = C.position;`
    case 'double':
      return `${target} = R.readDouble(b, p); p += 8;`
    case 'float':
      return `${target} = b.readFloatLE(p); p += 4;`
    case 'fixed32':
      return `${target} = b.readUInt32LE(p); p += 4;`
    case 'sfixed32':
      return `${target} = b.readInt32LE(p); p += 4;`
    case 'fixed64':
    case 'sfixed64':
      return `${charge(VIEW)} ${target} = R.readRaw64(b, p); p += 8;`
    case 'enum':
      return `${readVarint(target)} if (!(${memberTest(field.type, target)})) throw new Error('Invalid enum value: ' + ${target});`
    case 'message':
      if (field.bare) return `if (p > b.length) throw I.invalid(); ${charge(field.type.cost)} ${target} = d${field.type.index}(b, p, b.length); p = C.position;`
      return `${readVarint('n')} if (!(p + n <= b.length)) throw I.invalid(); ${charge(field.type.cost)} ${target} = d${field.type.index}(b, p, p + n); p = C.position;`
  }
}

/** Most fields of a message for which code that reads in order is generated, in addition to the loop. */
const MAX_FIELDS_IN_ORDER = 32
/** Most messages of a schema for which such code is generated, because it takes some milliseconds to parse. */
const MAX_MESSAGES_IN_ORDER = 1000

/**
 * Code that reads fields in the order of their declaration, in which encoders write them. This is faster than a switch over
 * tags. Fields that are not found in this order are left to the loop that follows.
 */
function readInOrder (type, required) {
  // The loop decides which member of a oneof came last.
  if (type.oneofs.length > 0 || type.fields.length > MAX_FIELDS_IN_ORDER) return []
  return type.fields.filter((field) => header(field) < 128).map((field) => {
    const test = field.repeated && !field.packed ? 'while' : 'if'
    return `${test} (p < end && b[p] === ${header(field)}) { p++; ${readField(field)} ${mark(field, required)} }`
  })
}

/** The header before a field's values. */
function header (field) {
  return field.tag * 8 + field.expected
}

/** Code that notes that a required field was present. */
function mark (field, required) {
  const bit = required.indexOf(field)
  return bit < 0 ? '' : `r${Math.floor(bit / 30)} |= ${2 ** (bit % 30)};`
}

function decoder (type, inOrder) {
  const required = type.fields.filter((field) => field.required)
  const lines = [`function d${type.index} (b, p, end) {`, 'const start = p; let x, n, t, odd = false;']
  for (const field of type.fields) {
    lines.push(`let f${field.index} = ${field.repeated ? (field.map ? '{}' : '[]') : literal(field.initial)};`)
  }
  type.oneofs.forEach((oneof, index) => lines.push(`let w${index} = -1;`))
  for (let i = 0; i < required.length; i += 30) lines.push(`let r${i / 30} = 0;`)
  if (inOrder) lines.push(...readInOrder(type, required))
  lines.push('while (p < end) {', readVarint('t'), 'switch (t >> 3) {')
  for (const field of type.fields) {
    if (field.tag > MAX_TAG) continue
    // The wire type differs from this schema's. The interpreter refuses such an event, or reads it as 1.x does.
    lines.push(`case ${field.tag}: {`, `if ((t & 7) !== ${field.expected}) return I.decodeFrom(T[${type.index}], b, start, end);`)
    if (field.oneof) {
      const which = 'w' + type.oneofs.indexOf(field.oneof)
      lines.push(`if (${which} !== ${field.index}) { if (${which} !== -1) odd = true; ${which} = ${field.index} }`)
    }
    lines.push(readField(field), mark(field, required), 'break', '}')
  }
  lines.push('default:', 'p = skip(t & 7, b, p)', '}', '}')
  // Members of a oneof that replace each other change the order of keys.
  if (type.oneofs.length) lines.push(`if (odd) return I.decodeFrom(T[${type.index}], b, start, end);`)
  for (let i = 0; i < required.length; i += 30) {
    const mask = 2 ** Math.min(30, required.length - i) - 1
    lines.push(`if (r${i / 30} !== ${mask}) throw I.invalid();`)
  }
  lines.push('C.position = p;', result(type), '}')
  return lines.join('\n')
}

function readField (field) {
  const target = 'f' + field.index
  if (field.map) {
    return `let v; ${charge(ENTRY)} ${readValue(field, 'v')} if (v.key !== '__proto__') ${target}[v.key] = v.value;`
  }
  if (!field.repeated) return readValue(field, target)
  const push = `let v; ${readValue(field, 'v')} ${target}.push(v);`
  const first = `if (${target}.length === 0) C.left -= ${FIRST};`
  if (!field.packed) return `${first} ${push}`
  const bounded = ['bool', 'fixed64', 'sfixed64'].includes(field.kind) ? `if (e > b.length) throw new RangeError('Could not decode packed ${field.kind}');` : ''
  return `${readVarint('n')} const e = p + n; ${bounded} ${first} while (p < e) { ${push} }`
}

/** The decoded object: one literal, unless a oneof leaves members out. */
function result (type) {
  if (type.oneofs.length === 0) {
    return `return { ${type.fields.map((field) => `${key(field.name)}: f${field.index}`).join(', ')} }`
  }
  const lines = ['const o = {};']
  for (const field of type.fields) {
    const set = field.name === '__proto__' ? `P(o, "__proto__", f${field.index});` : `o[${literal(field.name)}] = f${field.index};`
    const which = 'w' + type.oneofs.indexOf(field.oneof)
    lines.push(field.oneof ? `if (${which} === -1 || ${which} === ${field.index}) ${set}` : set)
  }
  lines.push('return o')
  return lines.join('\n')
}

/** Strings up to this length are made by one call with a fixed number of arguments, which is faster than a call into C++. */
const SHORT = 24
/** From this length on, a batch cuts strings from its text instead: V8 makes slices then, not copies. */
const SLICED = 13

/** Source of `s(b, p, q)`, the string in `[p, q)`. */
function stringReader () {
  const lines = ['function s (b, p, q) {', `if (q > b.length || (B.on && q - p >= ${SLICED})) return R.readString(b, p, q);`, 'switch (q - p) {', "case 0: return '';"]
  for (let length = 1; length <= SHORT; length++) {
    const codes = Array.from({ length }, (_, i) => 'c' + i)
    lines.push(`case ${length}: {`)
    lines.push(`const ${codes.map((code, i) => `${code} = b[p + ${i}]`).join(', ')};`)
    lines.push(`if ((${codes.join(' | ')}) > 127) break;`, `return String.fromCharCode(${codes.join(', ')})`, '}')
  }
  return [...lines, '}', 'return R.readString(b, p, q)', '}'].join('\n')
}

/** Source of a function body that returns `{ encoders, decoders }`, by message index. */
function generate (plan) {
  const messages = plan.messages
  return [
    "'use strict';",
    'const { R, W, C, I, T, P, N, skip } = env;',
    ...plan.enums.map((type) => `const N${type.index} = N[${type.index}];`),
    'const B = R.batch;',
    stringReader(),
    ...messages.map(encoder),
    ...messages.map((type) => decoder(type, messages.length <= MAX_MESSAGES_IN_ORDER)),
    `return { encoders: [${messages.map((m) => 'e' + m.index).join(', ')}], decoders: [${messages.map((m) => 'd' + m.index).join(', ')}] }`
  ].join('\n')
}

module.exports = { generate, literal }
