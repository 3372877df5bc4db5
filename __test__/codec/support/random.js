'use strict'

/** Random schemas, messages and bytes from a seed, which is enough to reproduce a failing case. */

/** mulberry32 */
function generator (seed) {
  let state = seed >>> 0
  function next () {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const random = {
    next,
    below: (n) => Math.floor(next() * n),
    chance: (p) => next() < p,
    pick: (list) => list[Math.floor(next() * list.length)]
  }
  return random
}

const SCALARS = ['double', 'float', 'int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64', 'fixed32', 'fixed64', 'sfixed32', 'sfixed64', 'bool', 'string', 'bytes']
const NAMES = ['id', 'name', 'value', 'class', 'default', 'length', 'constructor', 'toString', 'a-b', '$x', 'größe', 'type', 'message', 'encode', 'hasOwnProperty', 'o', 'v', 'b', 'p', 'end', 'foo_bar', 'fooBar', 'x2028\u2028']
const TAGS = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 100, 2047, 2048, 19500, 262143, 262144, 2 ** 28 - 1]

/**
 * A schema as data: `{ enums, messages, text }`. Messages may refer to each other and to themselves.
 *
 * @param {object} [options]
 * @param {boolean} [options.strict] only what protoc accepts: for comparisons in standard encoding
 */
function schema (random, options) {
  const strict = options && options.strict
  const enums = Array.from({ length: random.below(3) }, (_, i) => enumeration(random, 'E' + i, strict))
  const names = Array.from({ length: 1 + random.below(4) }, (_, i) => 'M' + i)
  const messages = names.map((name) => message(random, name, names, enums, strict))
  const text = (strict ? 'syntax = "proto2";\n' : '') + [...enums.map(enumText), ...messages.map(messageText)].join('\n')
  return { enums, messages, byName: new Map(messages.map((m) => [m.name, m])), text }
}

function enumeration (random, name, strict) {
  const numbers = new Set()
  for (let i = 0; i < 1 + random.below(9); i++) numbers.add(random.pick([i, random.below(20), 100 + random.below(100), 70000, 2147483647]))
  if (!strict && random.chance(0.1)) numbers.add(-1)
  return { name, values: [...numbers].map((number, i) => [`${strict ? name + '_' : ''}V${i}`, number]) }
}

function enumText ({ name, values }) {
  return `enum ${name} { ${values.map(([name, number]) => `${name} = ${number};`).join(' ')} }`
}

function message (random, name, names, enums, strict) {
  const fields = []
  const used = new Set()
  const count = random.below(9)
  const tags = TAGS.slice().sort(() => random.next() - 0.5)
  let oneof = null
  for (let i = 0; i < count; i++) {
    const fieldName = strict ? 'f' + i : random.chance(0.5) ? 'f' + i : random.pick(NAMES)
    if (used.has(fieldName) || (strict && tags[i] === 19500)) continue
    used.add(fieldName)
    const field = { name: fieldName, tag: tags[i], label: 'optional', packed: false, map: null, oneof: null, initial: null, ...type(random, names, enums) }
    if (random.chance(0.15)) {
      if (!oneof || random.chance(0.3)) oneof = 'choice' + i
      field.oneof = oneof
    } else {
      oneof = null
      if (random.chance(0.12)) {
        field.map = random.pick(['int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64', 'fixed32', 'sfixed32', 'bool', 'string', 'string'])
      } else {
        field.label = random.pick(['optional', 'optional', 'repeated', field.kind === 'message' ? 'optional' : 'required', ...strict ? [] : ['']])
        const packable = !['string', 'bytes', 'message', ...strict ? [] : ['enum']].includes(field.kind)
        field.packed = field.label === 'repeated' && packable && random.chance(0.5)
        if (field.label !== 'repeated' && random.chance(0.2)) field.initial = initial(random, field, strict)
      }
    }
    fields.push(field)
  }
  return { name, fields }
}

function type (random, names, enums) {
  const roll = random.next()
  if (roll < 0.15) return { kind: 'message', type: random.pick(names) }
  if (roll < 0.25 && enums.length) {
    const type = random.pick(enums)
    return { kind: 'enum', type: type.name, values: type.values }
  }
  const kind = random.pick(SCALARS)
  return { kind, type: kind }
}

function initial (random, field, strict) {
  switch (field.kind) {
    case 'message': return null
    case 'string': return random.pick(['"hi"', '""', ...strict ? [] : ["'single'", 'word', '"a\\"b"', '"\\u2028"', '"</script>"', '"${x}`"']]) // eslint-disable-line no-template-curly-in-string
    case 'bytes': return '"xx"'
    case 'bool': return random.pick(['true', 'false'])
    case 'enum': return random.pick(field.values)[0]
    default: return random.pick(strict ? ['0', '7', '42'] : ['0', '7', '-7', '0x10', 'abc', '010', '-0', '1.5', '"5"'])
  }
}

function messageText ({ name, fields }) {
  const lines = []
  let open = null
  for (const field of fields) {
    if (open !== field.oneof) {
      if (open) lines.push('}')
      if (field.oneof) lines.push(`oneof ${field.oneof} {`)
      open = field.oneof
    }
    const options = [...field.packed ? ['packed = true'] : [], ...field.initial === null || field.oneof ? [] : [`default = ${field.initial}`]]
    const label = field.oneof || field.map ? '' : field.label + ' '
    const kind = field.map ? `map<${field.map}, ${field.type}>` : field.type
    lines.push(`  ${label}${kind} ${field.name} = ${field.tag}${options.length ? ` [${options.join(', ')}]` : ''};`)
  }
  if (open) lines.push('}')
  return `message ${name} {\n${lines.join('\n')}\n}`
}

/**
 * A random object for `message`.
 *
 * @param {object} [options]
 * @param {number} [options.odd] how often a value is not of the field's type
 * @param {boolean} [options.standard] values of standard encoding: 64-bit fixed fields are numbers, text is well-formed
 */
function value (random, schema, message, options, depth) {
  depth = depth || 0
  const object = {}
  const set = new Set()
  for (const field of message.fields) {
    const odd = options && options.odd && random.chance(options.odd)
    if (field.oneof && set.has(field.oneof) && !odd) continue
    const there = field.label === 'required' ? !odd : random.chance(depth > 2 && field.kind === 'message' ? 0.05 : 0.7)
    if (!there) continue
    if (field.oneof) set.add(field.oneof)
    object[field.name] = odd ? oddValue(random) : fieldValue(random, schema, field, options, depth)
  }
  return object
}

function fieldValue (random, schema, field, options, depth) {
  const one = () => field.kind === 'message' ? value(random, schema, schema.byName.get(field.type), options, depth + 1) : scalar(random, field, options && options.standard)
  if (field.map) {
    const map = {}
    for (let i = random.below(4); i > 0; i--) map[mapKey(random, field.map, options && options.standard)] = one()
    return map
  }
  if (field.label === 'repeated') return Array.from({ length: depth > 2 ? 0 : random.below(5) }, one)
  return one()
}

function mapKey (random, kind, standard) {
  if (kind === 'string') return text(random, standard)
  if (kind === 'bool') return random.pick(['true', 'false'])
  return String(random.below(random.pick([10, 1000, 2 ** 31])))
}

const WORDS = ['', 'a', 'hello', 'sixteen chars ok', 'seventeen chars!!', 'größe', '€uro', '𝄞 clef', '\ud800', 'x\u0000y', '\u2028']

function text (random, standard) {
  const words = standard ? WORDS.filter((word) => word !== '\ud800') : WORDS
  return random.chance(0.05) ? random.pick(words).repeat(random.below(300)) : random.pick(words)
}

function scalar (random, field, standard) {
  const integer = (low, high) => {
    const roll = random.next()
    if (roll < 0.4) return Math.max(low, Math.floor(random.next() * 300))
    if (roll < 0.5) return random.pick([low, high])
    return Math.floor(low + random.next() * (high - low))
  }
  switch (field.kind) {
    case 'double': return random.pick([0, -0, 1.5, -2.25, 1e300, random.next(), Infinity, -Infinity])
    case 'float': return random.pick([0, 1.5, -2.25, Math.fround(random.next())])
    case 'int32': case 'sint32': case 'sfixed32': return integer(-(2 ** 31), 2 ** 31 - 1)
    case 'uint32': case 'fixed32': return integer(0, 2 ** 32 - 1)
    case 'int64': case 'sint64': return integer(-(2 ** 52), 2 ** 52)
    case 'uint64': return integer(0, 2 ** 53 - 1)
    case 'bool': return random.chance(0.5)
    case 'string': return text(random, standard)
    case 'enum': return random.pick(field.values)[1]
    case 'fixed64': case 'sfixed64': return standard ? integer(field.kind === 'fixed64' ? 0 : -(2 ** 52), 2 ** 53 - 1) : bytes(random, 8)
    case 'bytes': return random.chance(0.2) && !standard ? text(random) : bytes(random, random.below(random.chance(0.05) ? 5000 : 40))
  }
}

function bytes (random, length) {
  return Buffer.from(Array.from({ length }, () => random.below(256)))
}

const ODD = [null, undefined, NaN, '5', '-5', 'abc', '', ' 7 ', true, false, -1, -0, 1.5, -1.5, 1e21, -1e21, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63, -(2 ** 31) - 1, 10n, Symbol('s'), () => 1, new Date(1500000000000), [5], [], [1, 'a', null], {}, { length: 2, 0: 1, 1: 2 }, { a: 1 }, 'ab', Buffer.from('xyz'), new Uint8Array([1, 2]), new ArrayBuffer(3), Object.create(null), new Map([[1, 2]]), Object(7), Object('s')]

function oddValue (random) {
  return random.pick(ODD)
}

const SPOILING = ['__proto__', '007', 'false', 'misspelt', '-1', '9007199254740993', '\udc00', 'F0']

/** Puts an odd value somewhere into a message: in place of a value, or in addition. */
function spoil (random, object) {
  for (let inside = object; ;) {
    const keys = Object.keys(inside)
    const key = keys.length > 0 && random.chance(0.8) ? random.pick(keys) : Array.isArray(inside) ? String(keys.length) : random.pick(SPOILING)
    const next = Object.hasOwn(inside, key) ? inside[key] : undefined
    if (typeof next === 'object' && next !== null && !Buffer.isBuffer(next) && random.chance(0.7)) {
      inside = next
      continue
    }
    const value = random.chance(0.3) ? random.pick(NEARLY) : oddValue(random)
    return Object.defineProperty(inside, key, { value, enumerable: true, writable: true, configurable: true })
  }
}

/** Values that are nearly valid for a field. */
const NEARLY = [-1, -5, -300, 2 ** 53, -(2 ** 53), 2 ** 60, 1e300, 1e39, 5n, -(2n ** 63n), 2n ** 64n, true, 'a\ud800', 'V0', 'E0_V0', new Int32Array([1, 2]), new DataView(new ArrayBuffer(8)), new Array(3), Promise.resolve(), /x/, new Error('x'), Object(true), Buffer.alloc(8), Buffer.alloc(3)]

/** Bytes that are nearly a valid message. */
function mutate (random, original) {
  let result = Buffer.from(original)
  for (let i = 1 + random.below(3); i > 0; i--) {
    const at = random.below(result.length + 1)
    switch (random.below(5)) {
      case 0: if (result.length) result[at % result.length] = random.below(256); break
      case 1: result = result.subarray(0, at); break
      case 2: result = Buffer.concat([result.subarray(0, at), bytes(random, 1 + random.below(3)), result.subarray(at)]); break
      case 3: result = Buffer.concat([result.subarray(0, at), result.subarray(Math.min(result.length, at + 1))]); break
      case 4: result = Buffer.concat([result, result.subarray(at)]); break
    }
  }
  return result
}

module.exports = { generator, schema, value, bytes, mutate, spoil }
