'use strict'

const { readFileSync, statSync } = require('node:fs')
const { basename, dirname } = require('node:path')
const { linkTypes } = require('../codec/plan')
const { Failure } = require('./exit')

/** A schema file and its plan, from which encoders are made. */
class Schema {
  /**
   * @param {object} messages the compiled schema
   * @param {Buffer} [text]
   * @param {string} [file]
   */
  constructor (messages, text, file) {
    this.messages = messages
    /** The plan as data (src/codec/plan.rs says what is in it). */
    this.json = Object.getPrototypeOf(messages).toJSON.call(messages) // a message may be called toJSON
    this.text = text
    this.file = file
    /** @type {import('../codec/plan').Plan} */
    this.plan = linkTypes(structuredClone(this.json))
    this._events = new Map(eventsOf(this.plan).map(({ name, type }) => [name, type]))
  }

  /** Names of events: messages at the top of the schema, in its order. */
  get names () {
    return [...this._events.keys()]
  }

  /** @returns {import('../codec/plan').Message | undefined} */
  message (name) {
    return this._events.get(name)
  }

  /** The emitter options that the schema needs in addition to its text: where imports are looked up. */
  get options () {
    return this.file === undefined ? {} : { include: dirname(this.file) }
  }
}

/** Fields by name, for messages of which a field was looked up. */
const fieldsByName = new WeakMap()

/**
 * The field of a message that has this name, in the schema or in JSON.
 * @param {import('../codec/plan').Message} message
 * @param {string} name
 * @returns {import('../codec/plan').Field | undefined}
 */
function fieldOf (message, name) {
  let byName = fieldsByName.get(message)
  if (byName === undefined) {
    byName = new Map(message.fields.map((field) => [field.json, field]))
    for (const field of message.fields) byName.set(field.name, field)
    fieldsByName.set(message, byName)
  }
  return byName.get(name)
}

/**
 * The events of a schema: its top-level messages, without the entries of maps, which 1.x also has there.
 * @param {import('../codec/plan').Plan} plan
 * @returns {import('../codec/plan').Named[]}
 */
function eventsOf (plan) {
  return plan.top.filter(({ kind, type }) => kind === 'message' && !type.entry)
}

/**
 * @param {string} file also where imports are looked up
 * @param {typeof import('../..').compile} compile
 * @returns {Schema}
 * @throws {Error} the file cannot be read, or is not a schema
 */
function loadSchema (file, compile) {
  if (statSync(file).isDirectory()) throw new Failure(`${file} is a folder, not a schema file`)
  const text = readFileSync(file)
  return new Schema(compile(text, { file: basename(file), include: dirname(file) }), text, file)
}

module.exports = { Schema, fieldOf, loadSchema, eventsOf }
