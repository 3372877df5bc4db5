'use strict'

const { forJson } = require('./escape')
const { entriesOf, eventsOf } = require('./schema')

/**
 * TypeScript types of a schema's messages, and the event map that `HyperEmitter<Events>` takes. `emit` needs less than
 * listeners hear: decoding fills in defaults, so each message has two types.
 */

/** What JavaScript has for a scalar: [what `emit` takes, what listeners hear, the latter when the field is absent]. */
const SCALARS = {
  bool: ['boolean', 'boolean'],
  string: ['string', 'string'],
  bytes: ['Uint8Array | string', 'Buffer', 'null'],
  double: ['number', 'number'],
  float: ['number', 'number'],
  int32: ['number', 'number'],
  uint32: ['number', 'number'],
  sint32: ['number', 'number'],
  fixed32: ['number', 'number'],
  sfixed32: ['number', 'number'],
  int64: ['number | bigint', 'number'],
  uint64: ['number | bigint', 'number'],
  sint64: ['number | bigint', 'number'],
  fixed64: ['Buffer', 'Buffer', 'null'],
  sfixed64: ['Buffer', 'Buffer', 'null']
}

/** Standard protobuf: 64 bits are a BigInt beyond what a number holds, and nothing but messages is ever absent. */
const STANDARD = {
  ...SCALARS,
  bytes: ['Uint8Array | string', 'Buffer'],
  ...Object.fromEntries(['int64', 'uint64', 'sint64', 'fixed64', 'sfixed64'].map((type) =>
    [type, ['number | bigint', 'number | bigint']]))
}

/** Names of ours that a message must not take. */
const RESERVED = ['Events', 'Payload', 'Buffer', 'Uint8Array', 'Record', 'Array']

/** Words that TypeScript takes for something else where a type's name stands. */
const KEYWORDS = new Set(['any', 'as', 'async', 'await', 'bigint', 'boolean', 'break', 'case', 'catch', 'class', 'const', 'continue',
  'debugger', 'default', 'delete', 'do', 'else', 'enum', 'export', 'extends', 'false', 'finally', 'for', 'function', 'if',
  'implements', 'import', 'in', 'instanceof', 'interface', 'let', 'never', 'new', 'null', 'number', 'object', 'package', 'private',
  'protected', 'public', 'return', 'static', 'string', 'super', 'switch', 'symbol', 'this', 'throw', 'true', 'try', 'type',
  'typeof', 'undefined', 'unknown', 'var', 'void', 'while', 'with', 'yield'])

/**
 * @param {object} plan see planOf in schema.js
 * @param {{source?: string, standard?: boolean}} [options]
 * @returns {string} a module
 */
function toTypeScript (plan, { source = 'a schema', standard = false } = {}) {
  const names = nameTypes(plan)
  const scalars = standard ? STANDARD : SCALARS

  function typeOf (type, direction) {
    if (type.message !== undefined) return names.messages[type.message] + (direction === 0 ? 'Input' : '')
    if (type.enum !== undefined) return names.enums[type.enum]
    return scalars[type.scalar][direction]
  }

  function list (type) {
    return /[|&]/.test(type) ? `Array<${type}>` : `${type}[]`
  }

  function field (field, direction) {
    const { name, type, repeated, map, required, oneof } = field
    const value = map
      ? `Record<string, ${typeOf(plan.messages[type.message].fields.find(({ name }) => name === 'value').type, direction)}>`
      : repeated ? list(typeOf(type, direction)) : typeOf(type, direction)
    if (direction === 0) return `${key(name)}${required ? '' : '?'}: ${value}${required ? '' : ' | null'}`
    const absent = !repeated && !required && (type.message !== undefined ? 'null' : scalars[type.scalar]?.[2])
    return `${key(name)}${oneof === undefined ? '' : '?'}: ${value}${absent ? ' | null' : ''}`
  }

  function message ({ fields }, name, direction) {
    const comment = direction === 0 ? `What emit takes for ${name}.` : `What listeners of ${name} hear: absent fields have their defaults.`
    const body = fields.map((each) => `  ${field(each, direction)}\n`).join('')
    return `/** ${comment} */\nexport interface ${name}${direction === 0 ? 'Input' : ''} {${body ? `\n${body}` : ''}}\n`
  }

  return [
    `// Made from ${source.replace(/[\r\n\u2028\u2029]/g, ' ')} by hypem types. Edit that, not this.\n`,
    "import type { Payload } from 'hyperemitter'\n",
    `/** The events by name: new HyperEmitter<Events>(…) */\nexport interface Events {\n${eventsOf(plan).map(({ name, type }) =>
      `  ${key(name)}: Payload<${typeOf(type, 0)}, ${typeOf(type, 1)}>\n`).join('')}}\n`,
    ...plan.messages.map((each, index) => names.messages[index] === undefined
      ? ''
      : `${message(each, names.messages[index], 0)}\n${message(each, names.messages[index], 1)}`),
    ...plan.enums.map(({ values }, index) =>
      `export type ${names.enums[index]} = ${[...new Set(values.map(([, value]) => Number(value)))].join(' | ') || 'never'}\n`)
  ].filter(Boolean).join('\n')
}

/** A property's name: as it is where it may stand so. */
function key (name) {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : forJson(name)
}

/**
 * A type's name for every message and enum: the simple name, behind those of the messages it is nested in. Entries of
 * maps need none.
 */
function nameTypes (plan) {
  const names = { messages: [], enums: [] }
  const taken = new Set(RESERVED)
  const entries = entriesOf(plan)

  function claim (path) {
    const wanted = path.map((part) => part.replace(/[^\w$]/g, '_')).join('_').replace(/^(?=\d)/, '_')
    const base = KEYWORDS.has(wanted) ? `${wanted}_` : wanted
    for (let number = 1; ; number++) {
      const name = number === 1 ? base : `${base}_${number}`
      if (taken.has(name) || taken.has(`${name}Input`)) continue
      taken.add(name).add(`${name}Input`)
      return name
    }
  }

  function walk (named, path) {
    for (const { name, type } of named) {
      if (type.message !== undefined && names.messages[type.message] === undefined && !entries.has(type.message)) {
        names.messages[type.message] = claim([...path, name])
        walk(plan.messages[type.message].nested, [...path, name])
      } else if (type.enum !== undefined && names.enums[type.enum] === undefined) {
        names.enums[type.enum] = claim([...path, name])
      }
    }
  }

  walk(plan.top, [])
  // Types of imported files are reachable without being exported.
  plan.messages.forEach(({ full }, index) => {
    if (names.messages[index] === undefined && !entries.has(index)) names.messages[index] = claim([full])
  })
  plan.enums.forEach(({ name }, index) => {
    names.enums[index] ??= claim([name])
  })
  return names
}

module.exports = { toTypeScript }
