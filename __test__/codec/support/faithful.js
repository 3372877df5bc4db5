'use strict'

/**
 * Passes random messages, most of them with odd values, through strict encoders. Whatever these accept must decode to the same
 * value.
 */

const random = require('./random')
const { same, show } = require('./compare')

function run ({ seed, cases, compile, options }) {
  const standard = options.protobuf === 'standard'
  const count = { cases: 0, refused: 0 }
  for (; count.cases < cases; seed++) {
    const r = random.generator(seed)
    const schema = random.schema(r, { strict: standard })
    const messages = compile(schema.text, { ...options, strict: true })
    for (const type of schema.messages) {
      for (let i = 0; i < 8; i++) {
        count.cases++
        const input = random.value(r, schema, type, { standard })
        const spoilt = r.chance(0.8)
        if (spoilt) random.spoil(r, input)
        const message = messages[type.name]
        let bytes
        try {
          bytes = message.encode(input)
        } catch (error) {
          if ((standard && !spoilt) || error.event !== type.name || !/^ERR_(HYPER_VALUE|INVALID_ARG_TYPE)$/.test(error.code)) throw error
          count.refused++
          continue
        }
        const decoded = message.decode(bytes)
        const lost = difference(schema, type, input, decoded, standard)
        if (lost) throw new Error(`seed ${seed}: ${lost} is not what it was\n${schema.text}\n${show(input)}\n${show(decoded)}`)
      }
    }
  }
  return count
}

/** The path of the first value that is not in `decoded` as it is in `object`; undefined if there is none. */
function difference (schema, type, object, decoded, standard) {
  const names = new Set(type.fields.map(({ name }) => name))
  for (const name of Object.keys(object)) if (object[name] !== undefined && !names.has(name)) return name
  for (const field of type.fields) {
    const value = object[field.name]
    if (value === null || value === undefined) continue
    const found = decoded[field.name]
    const entries = field.map || field.label === 'repeated' ? Object.entries(value) : [[undefined, value]]
    if (entries[0]?.[0] !== undefined && entries.length !== Object.keys(found).length) return field.name
    for (const [key, each] of entries) {
      const got = key === undefined ? found : found[key]
      const path = key === undefined ? field.name : `${field.name}[${key}]`
      if (field.kind === 'message' && each !== null) {
        const inside = got === null || typeof got !== 'object' ? '' : difference(schema, schema.byName.get(field.type), each, got, standard)
        if (inside !== undefined) return `${path}.${inside}`
      } else if (!same(expected(field, each, standard), got)) {
        return path
      }
    }
  }
}

/** What a value is after decoding: numbers of enums, Buffers, and the nearest number that a float can hold. */
function expected ({ kind, values }, value, standard) {
  if (kind === 'bytes') return Buffer.from(value)
  if (kind === 'float') return Math.fround(value)
  if (kind === 'enum' && typeof value === 'string') return values.find(([name]) => name === value)[1]
  if (standard && /64$/.test(kind)) return Number.isSafeInteger(Number(value)) ? Number(value) + 0 : BigInt(value)
  return /int|fixed|enum/.test(kind) && typeof value === 'number' ? value + 0 : value
}

module.exports = { run }
