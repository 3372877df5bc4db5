'use strict'

/** Compares random schemas of nested messages that refer to each other with protocol-buffers 3.2.1. */

const random = require('./random')
const { same, outcome, show } = require('./compare')

/**
 * @param {object} options
 * @param {number} options.seed first seed
 * @param {number} options.cases encodes and decodes to compare
 * @param {Function} options.original `require('protocol-buffers')`
 * @param {(text: string, interpret: boolean) => object} options.compile ours
 * @returns {{ cases: number, schemas: number, bare: number }} `bare`: how many cases had bare fields
 */
function run ({ seed, cases, original, compile }) {
  const count = { cases: 0, schemas: 0, bare: 0 }
  for (; count.cases < cases; seed++) {
    const r = random.generator(seed)
    const schema = nested(r)
    count.schemas++
    const theirs = original(schema.text)
    const ours = [false, true].map((interpret) => compile(schema.text, interpret))
    const isBare = JSON.stringify(ours[0].toJSON()).includes('"bare":true')
    for (const message of schema.messages) {
      const at = (messages) => message.path.reduce((found, name) => found[name], messages)
      for (let i = 0; i < 6; i++) {
        const input = random.value(r, schema, message)
        const expected = outcome(() => at(theirs).encode(input))
        const buffers = expected.error ? [] : [expected.value, random.mutate(r, expected.value), random.mutate(r, expected.value)]
        for (const messages of ours) {
          compare(expected, outcome(() => at(messages).encode(input)), 'encode', { seed, text: schema.text, message: message.name, input })
          for (const buffer of buffers) {
            const details = { seed, text: schema.text, message: message.name, buffer: buffer.toString('hex') }
            compare(outcome(() => at(theirs).decode(buffer)), outcome(() => at(messages).decode(buffer)), 'decode', details)
          }
        }
        count.cases += 1 + buffers.length
        if (isBare) count.bare += 1 + buffers.length
      }
    }
  }
  return count
}

function compare (theirs, ours, what, details) {
  if (ours.error && /Maximum call stack|Could not decode packed|beyond the range of numbers/.test(ours.error)) return
  if (!same(theirs, ours)) throw new Error(`${what} differs\n${Object.entries({ ...details, theirs, ours }).map(([key, value]) => `${key}: ${typeof value === 'string' ? value : show(value)}`).join('\n')}`)
}

/** `{ messages, byName, text }`; messages are nested up to three levels, and types are written by their path. */
function nested (r) {
  const messages = []
  const declare = (path, depth) => {
    const message = { name: [...path, 'M' + messages.length].join('.'), path: [...path, 'M' + messages.length], children: [], fields: [] }
    messages.push(message)
    for (let i = depth < 3 ? r.below(3) : 0; i > 0 && messages.length < 7; i--) message.children.push(declare(message.path, depth + 1))
    return message
  }
  const top = Array.from({ length: 1 + r.below(3) }, () => declare([], 1))
  for (const message of messages) {
    for (let i = r.below(4); i > 0; i--) message.fields.push(field(r, message.fields.length, messages))
  }
  return { messages, byName: new Map(messages.map((each) => [each.name, each])), text: top.map(text).join('\n') }
}

function field (r, index, messages) {
  const common = { name: 'f' + index, tag: index + 1, label: 'optional', packed: false, map: null, oneof: null, initial: null }
  if (r.chance(0.3)) return { ...common, label: r.pick(['optional', 'required']), kind: 'int32', type: 'int32' }
  const type = { kind: 'message', type: r.pick(messages).name }
  if (r.chance(0.25)) return { ...common, ...type, map: 'string' }
  return { ...common, ...type, label: r.pick(['optional', 'optional', 'repeated']) }
}

function text ({ path, children, fields }) {
  const lines = fields.map((each) => `${each.map ? `map<string, ${each.type}>` : each.label + ' ' + each.type} ${each.name} = ${each.tag};`)
  return `message ${path.at(-1)} { ${[...children.map(text), ...lines].join(' ')} }`
}

module.exports = { run }
