'use strict'

/**
 * A described event (describe.js) as `.proto` text: its message under the event's name, with all other types in it.
 *
 * @param {{ events: Array<[string, number, number]>, types: object[] }} described of one event
 * @returns {string}
 */
function protoText ({ events: [[event, first]], types }) {
  const names = new Map([[first, event]])
  for (const [index, { name }] of types.entries()) {
    if (!names.has(index) && !isEntry(index, types)) names.set(index, unused(name, names))
  }
  const body = [...names].filter(([index]) => index !== first).map(([index, name]) => typeText(name, types[index], names, types, '  '))
  return typeText(event, types[first], names, types, '', body)
}

/** Whether a type is the entry of a map, which `map<…>` stands for. */
function isEntry (index, types) {
  return types.some(({ fields = [] }) => fields.some(([, , kind, words]) => kind === index && has(words, 'map')))
}

function has (words, word) {
  return words.split(' ').includes(word)
}

/** The last part of a qualified name; all of it if that is taken. */
function unused (qualified, names) {
  const taken = new Set(names.values())
  const short = qualified.slice(qualified.lastIndexOf('.') + 1)
  let name = taken.has(short) ? qualified.replaceAll('.', '_') : short
  while (taken.has(name)) name += '_'
  return name
}

function typeText (name, { fields, values }, names, types, indent, nested = []) {
  const kind = fields === undefined ? 'enum' : 'message'
  const lines = fields === undefined
    ? values.map(([value, number]) => `${indent}  ${value} = ${number};\n`)
    : fields.map((field) => `${indent}  ${fieldText(field, names, types)}\n`)
  const inside = [...nested, ...lines]
  return inside.length === 0 ? `${indent}${kind} ${name} {}\n` : `${indent}${kind} ${name} {\n${inside.join('')}${indent}}\n`
}

function fieldText ([name, tag, kind, words], names, types) {
  const typeOf = (kind) => typeof kind === 'number' ? names.get(kind) : kind
  if (has(words, 'map')) {
    const [key, value] = types[kind].fields
    return `map<${typeOf(key[2])}, ${typeOf(value[2])}> ${name} = ${tag};`
  }
  const label = ['required', 'repeated'].find((label) => has(words, label)) ?? 'optional'
  const packed = has(words, 'packed') ? ' [packed = true]' : ''
  // Neither can be expressed for a message that is declared elsewhere.
  const note = ['group', 'bare'].filter((word) => has(words, word)).map((word) => ` // ${word}`).join('')
  return `${label} ${typeOf(kind)} ${name} = ${tag}${packed};${note}`
}

module.exports = { protoText }
