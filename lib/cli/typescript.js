'use strict'

const { forJson } = require('./escape')
const { eventsOf } = require('./schema')

/**
 * TypeScript types of a schema's messages, and the event map for `HyperEmitter<Events>`. Each message has two types, because
 * decoding fills in defaults: listeners get fields that `emit` does not require.
 */

/** The types of a scalar: [what `emit` takes, what listeners get, what they get if the field is absent]. */
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
  int64: ['number', 'number'],
  uint64: ['number', 'number'],
  sint64: ['number', 'number'],
  fixed64: ['Buffer', 'Buffer', 'null'],
  sfixed64: ['Buffer', 'Buffer', 'null']
}

/** The same for standard protobuf, where 64-bit values beyond a number's range are BigInts. */
const STANDARD = {
  ...SCALARS,
  ...Object.fromEntries(['int64', 'uint64', 'sint64', 'fixed64', 'sfixed64'].map((type) =>
    [type, ['number | bigint', 'number | bigint']]))
}

/** Directions: into `emit`, out to listeners. */
const INPUT = 0
const OUTPUT = 1

/** Names that no message or enum may have: those used here, and those that a module cannot declare. */
const RESERVED = ['Events', 'Payload', 'Buffer', 'Uint8Array', 'Record', 'Array', 'eval', 'arguments', 'exports', 'require', 'globalThis', 'NaN', 'Infinity']

/** Words that TypeScript does not accept as the name of a type. */
const KEYWORDS = new Set(['any', 'as', 'async', 'await', 'bigint', 'boolean', 'break', 'case', 'catch', 'class', 'const', 'continue',
  'debugger', 'default', 'delete', 'do', 'else', 'enum', 'export', 'extends', 'false', 'finally', 'for', 'function', 'if',
  'implements', 'import', 'in', 'instanceof', 'interface', 'let', 'never', 'new', 'null', 'number', 'object', 'package', 'private',
  'protected', 'public', 'return', 'static', 'string', 'super', 'switch', 'symbol', 'this', 'throw', 'true', 'try', 'type',
  'typeof', 'undefined', 'unknown', 'var', 'void', 'while', 'with', 'yield'])

/**
 * @param {import('../codec/plan').Plan} plan
 * @param {{source?: string, standard?: boolean}} [options]
 * @returns {string} a module
 */
function toTypeScript (plan, { source = 'a schema', standard = false } = {}) {
  const names = nameTypes(plan)
  const scalars = standard ? STANDARD : SCALARS

  function typeOf ({ kind, type }, direction) {
    if (kind === 'message') return names.get(type) + (direction === INPUT ? 'Input' : '')
    // Standard encoding also accepts names of values; listeners always get numbers.
    if (kind === 'enum') return standard && direction === INPUT ? `${names.get(type)} | keyof typeof ${names.get(type)}` : names.get(type)
    return scalars[kind][direction]
  }

  function list (type) {
    return /[|&]/.test(type) ? `Array<${type}>` : `${type}[]`
  }

  function field (field, direction) {
    const { name, kind, type, repeated, map, required, oneof, implicit } = field
    const value = map
      ? `Record<string, ${typeOf(type.fields[1], direction)}>`
      : repeated ? list(typeOf(field, direction)) : typeOf(field, direction)
    if (direction === INPUT) {
      // A proto3 field that is not `optional` cannot be absent, so leaving it out is usually a mistake.
      const needed = required || (implicit && !repeated)
      return `${key(name)}${needed ? '' : '?'}: ${value}${needed ? '' : ' | null'}`
    }
    const absent = !repeated && !required && !(standard && implicit) && (kind === 'message' ? 'null' : scalars[kind]?.[2])
    return `${key(name)}${oneof === null ? '' : '?'}: ${value}${absent ? ' | null' : ''}`
  }

  function message ({ fields }, name, direction) {
    const comment = direction === INPUT ? `What emit takes for ${name}.` : `What listeners of ${name} hear: absent fields have their defaults.`
    const body = fields.map((each) => `  ${field(each, direction)}\n`).join('')
    return `/** ${comment} */\nexport interface ${name}${direction === INPUT ? 'Input' : ''} {${body ? `\n${body}` : ''}}\n`
  }

  /** An object with the enum's values, and their type. It is the same as in `messages`, for programs without an emitter. */
  function enumeration (type, name) {
    const values = (standard ? type.standard : type.values).map(([name, value]) => [name, Number(value)]).filter(([, value]) => Number.isSafeInteger(value))
    const body = values.map(([name, value]) => `  ${name === '__proto__' ? "['__proto__']" : key(name)}: ${value}`).join(',\n')
    return `export const ${name} = {${body && `\n${body}\n`}} as const\nexport type ${name} = typeof ${name}[keyof typeof ${name}]\n`
  }

  const events = eventsOf(plan)
  return [
    `// Made from ${source.replace(/[\r\n\u2028\u2029]/g, ' ')} by hypem types. Edit that, not this.\n`,
    events.length > 0 && "import type { Payload } from 'hyperemitter'\n",
    `/** The events by name: new HyperEmitter<Events>(…) */\nexport interface Events {\n${events.map((each) =>
      `  ${key(each.name)}: Payload<${typeOf(each, INPUT)}, ${typeOf(each, OUTPUT)}>\n`).join('')}}\n`,
    ...plan.messages.filter(({ entry }) => !entry).map((each) =>
      `${message(each, names.get(each), INPUT)}\n${message(each, names.get(each), OUTPUT)}`),
    ...plan.enums.map((each) => enumeration(each, names.get(each)))
  ].filter(Boolean).join('\n')
}

/** A property's name, quoted if necessary. */
function key (name) {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : forJson(name)
}

/**
 * A type name for every message and enum: the simple name, after the names of the messages in which it is nested. Entries of
 * maps need none.
 * @returns {Map<import('../codec/plan').Message | import('../codec/plan').Enum, string>}
 */
function nameTypes (plan) {
  const names = new Map()
  const taken = new Set(RESERVED)

  function claim (type, path) {
    const wanted = path.map((part) => part.replace(/[^\w$]/g, '_')).join('_').replace(/^(?=\d)/, '_')
    const base = KEYWORDS.has(wanted) ? `${wanted}_` : wanted
    for (let number = 1; ; number++) {
      const name = number === 1 ? base : `${base}_${number}`
      if (taken.has(name) || taken.has(`${name}Input`)) continue
      taken.add(name).add(`${name}Input`)
      names.set(type, name)
      return
    }
  }

  function walk (named, path) {
    for (const { name, kind, type } of named) {
      if (names.has(type) || type.entry) continue
      claim(type, [...path, name])
      if (kind === 'message') walk(type.nested, [...path, name])
    }
  }

  walk(plan.top, [])
  // Types of imported files are reachable without being exported.
  for (const type of plan.messages) if (!names.has(type) && !type.entry) claim(type, [type.full])
  for (const type of plan.enums) if (!names.has(type)) claim(type, [type.name])
  return names
}

module.exports = { toTypeScript }
