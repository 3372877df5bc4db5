'use strict'

const { readFileSync, statSync } = require('node:fs')
const { basename, dirname } = require('node:path')
const { Failure } = require('./exit')

/**
 * A schema file, and what is known about its messages (from the plan that encoders are made of).
 * @typedef {{repeated: boolean, type?: string, message?: Message, enumeration?: Record<string, number>,
 *   map?: Field, name: string, json: string, required: boolean, oneof?: string}} Field
 * @typedef {{name: string, fields: Field[], field: (name: string) => Field|undefined}} Message
 */
class Schema {
  /**
   * @param {object} plan see {@link planOf}
   * @param {Buffer} [text]
   * @param {string} [file]
   */
  constructor (plan, text, file) {
    this.plan = plan
    this.text = text
    this.file = file
    this._messages = plan.messages.map((message) => this._message(message))
    this._top = new Map(eventsOf(plan).map(({ name, type }) => [name, this._messages[type.message]]))
  }

  /** Names of events: messages at the top of the schema, in its order. */
  get names () {
    return [...this._top.keys()]
  }

  /** @returns {Message|undefined} */
  message (name) {
    return this._top.get(name)
  }

  /** What an emitter needs besides the text: where imports are looked up. */
  get options () {
    return this.file === undefined ? {} : { include: dirname(this.file) }
  }

  _message (plan) {
    let fields
    const byName = new Map()
    const schema = this
    return {
      name: plan.name,
      get fields () { // messages refer to each other in circles: made when first asked for
        fields ??= plan.fields.map((field) => schema._field(field, plan))
        return fields
      },
      field (name) {
        if (byName.size === 0) {
          for (const field of this.fields) byName.set(field.json, field)
          for (const field of this.fields) byName.set(field.name, field)
        }
        return byName.get(name)
      }
    }
  }

  _field (field, owner) {
    const { name, json, required, repeated } = field
    const oneof = field.oneof === undefined ? undefined : owner.oneofs[field.oneof]
    if (field.map) {
      const entry = this._messages[field.type.message]
      return { name, json, required, repeated, oneof, map: entry.field('value') }
    }
    return { name, json, required, repeated, oneof, ...this._type(field.type) }
  }

  _type (type) {
    if (type.message !== undefined) return { message: this._messages[type.message] }
    if (type.enum === undefined) return { type: type.scalar }
    return { enumeration: Object.fromEntries(this.plan.enums[type.enum].values.map(([name, value]) => [name, Number(value)])) }
  }
}

/**
 * Messages at the top of a schema. Entries of maps stand there too, as 1.x had them, but nobody emits those.
 * @param {object} plan
 * @returns {Array<{name: string, type: {message: number}}>}
 */
function eventsOf (plan) {
  const entries = entriesOf(plan)
  return plan.top.filter(({ type }) => type.message !== undefined && !entries.has(type.message))
}

/** Messages that are entries of maps, by their index. */
function entriesOf (plan) {
  return new Set(plan.messages.flatMap(({ fields }) => fields.filter(({ map }) => map).map(({ type }) => type.message)))
}

/**
 * The compiled schema as data (src/codec/plan.rs says what is in it).
 * @param {Buffer} text
 * @param {string} file for error messages, and for where imports are looked up
 * @param {typeof import('../..').compile} compile
 * @returns {object}
 */
function planOf (text, file, compile) {
  const messages = compile(text, { file: basename(file), include: dirname(file) })
  return Object.getPrototypeOf(messages).toJSON.call(messages) // a message may be called toJSON
}

/**
 * @param {string} file
 * @param {typeof import('../..').compile} compile
 * @returns {Schema}
 * @throws {Error} the file cannot be read, or is no schema
 */
function loadSchema (file, compile) {
  if (statSync(file).isDirectory()) throw new Failure(`${file} is a folder, not a schema file`)
  const text = readFileSync(file)
  return new Schema(planOf(text, file, compile), text, file)
}

module.exports = { Schema, planOf, loadSchema, eventsOf, entriesOf }
