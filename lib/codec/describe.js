'use strict'

const { STANDARD } = require('./marks')

/**
 * Messages as stores keep them and peers exchange them, as the JSON text that `Schema` in src/schema/mod.rs reads. Equal messages
 * have equal texts.
 *
 * @param {Array<[string, import('./messages').FastPair]>} events names, and what encodes their payloads
 * @returns {string}
 */
function describe (events) {
  const types = new Types()
  const named = []
  for (const [name, { type, encoding }] of [...events].sort(([a], [b]) => a < b ? -1 : 1)) {
    const standard = encoding === STANDARD
    named.push([name, types.indexOf(type, standard), standard ? 1 : 0])
  }
  return JSON.stringify({ events: named, types: types.described() })
}

/** Types in the order in which they are reached. A type of a plan belongs to one encoding. */
class Types {
  constructor () {
    /** @type {Map<object, { index: number, standard: boolean }>} */
    this.reached = new Map()
  }

  indexOf (type, standard) {
    let found = this.reached.get(type)
    if (found === undefined) this.reached.set(type, found = { index: this.reached.size, standard })
    return found.index
  }

  described () {
    const described = []
    // Types that are reached meanwhile are visited, too.
    for (const [type, { standard }] of this.reached) {
      const name = type.full
      if (type.fields === undefined) described.push({ name, values: type.values })
      else described.push({ name, fields: type.fields.map((field) => this.field(field, type, standard)) })
    }
    return described
  }

  field (field, { entry }, standard) {
    const kind = field.type === null ? field.kind : this.indexOf(field.type, standard)
    const tag = standard ? field.standardTag ?? field.tag : field.tag
    const packed = standard ? field.standardPacked : field.packed
    // 1.x requires the key of an entry: that is no word of the schema.
    const words = { required: field.required && !entry, repeated: field.repeated, packed, map: field.map, group: field.group, bare: field.bare }
    return [field.name, tag, kind, Object.keys(words).filter((word) => words[word]).join(' ')]
  }
}

module.exports = { describe }
