'use strict'

/**
 * Schemas and codecs: `.proto` text is compiled in Rust (src/codec), encoders and decoders are generated from its plan.
 */

const { badProtobufOption, optionNotBoolean } = require('../errors')
const coreText = require('./core')
const { link } = require('./plan')
const { build, fast, codecFor } = require('./messages')
const { describe } = require('./describe')
const { protoText } = require('./proto-text')
const { beginBatch } = require('./shared/batch')
const marks = require('./marks')
const { jsonHelpers } = require('./json')
const { v1Engine } = require('./v1/engine')
const { standardEngine } = require('./standard/engine')
const { strictEngine } = require('./strict')

/**
 * Compiles a schema.
 *
 * @param {string|Buffer} schema `.proto` text
 * @param {object} [opts]
 * @param {string} [opts.protobuf] `'standard'` for standard protobuf bytes; 1.x's otherwise
 * @param {boolean} [opts.strict] whether encoders refuse values that they cannot store unchanged; by default those of standard
 *        protobuf do
 * @param {string} [opts.file] name of the schema, for errors
 * @param {string|string[]|object} [opts.include] where imports are: directories, or an object of texts by import path
 * @param {boolean} [opts.interpret] use no generated code, as where it is forbidden
 * @param {object} [opts.binding] native binding
 * @returns {object} messages and enums by name, in the shape of protocol-buffers 3.2.1
 * @throws {Error} `ERR_HYPER_SCHEMA` with line, column and cause
 */
function compile (schema, opts) {
  opts = opts || {}
  const text = String(schema)
  const binding = opts.binding || require('../native/addon')
  const json = binding.compileSchema(text, JSON.stringify(sources(opts)))
  const standard = opts.protobuf === 'standard'
  if (!standard && opts.protobuf !== undefined && opts.protobuf !== null && opts.protobuf !== '1.x') {
    throw badProtobufOption(opts.protobuf)
  }
  const strict = opts.strict ?? standard
  if (typeof strict !== 'boolean') throw optionNotBoolean('strict', strict)
  const make = (mark, parts) => assemble(mark, json, opts.interpret, strict, parts)
  const twins = new Map()
  return make(standard ? marks.STANDARD : marks.EXACT, { text, twin: (mark, index) => twinsOf(twins, mark, make)[index] })
}

/** Builds the messages of a plan in the encoding of this mark. */
function assemble (mark, json, interpret, strict, parts) {
  const standard = mark === marks.STANDARD
  const plan = link(json, mark === marks.EXACT)
  const lax = standard ? standardEngine(plan) : v1Engine(plan, interpret || !canGenerate())
  const engine = strict ? strictEngine(plan, lax) : lax
  return build({ json, plan, engine, helpers: jsonHelpers(plan, engine, !standard), ...parts })
}

/**
 * Returns the messages of the same plan in another encoding, by index. They are built when the first event with this encoding
 * comes.
 */
function twinsOf (twins, mark, make) {
  let built = twins.get(mark)
  if (built === undefined) {
    built = []
    make(mark, { text: '', twin: () => undefined, built })
    twins.set(mark, built)
  }
  return built
}

/** The JSON form of `Sources` in src/codec/sources.rs. */
function sources ({ file, include }) {
  if (include === undefined || include === null) return { file }
  if (typeof include === 'string') return { file, directories: [include] }
  if (Array.isArray(include)) return { file, directories: include.map(String) }
  const files = {}
  for (const path of Object.keys(include)) files[path] = String(include[path])
  return { file, files }
}

let generates

/** False under `--disallow-code-generation-from-strings`. */
function canGenerate () {
  if (generates === undefined) {
    try {
      generates = new Function('return true')() // eslint-disable-line no-new-func
    } catch (err) {
      generates = false
    }
  }
  return generates
}

let coreMessages

/**
 * `Event` and `EventPeer`, the same objects for all emitters. Always in 1.x's encoding, which 1.x peers read.
 *
 * @param {object} [binding] native binding
 * @returns {{ Event: object, EventPeer: object }}
 */
function core (binding) {
  if (!coreMessages) {
    coreMessages = compile(coreText, { binding, file: 'codecs.proto' })
  }
  return coreMessages
}

module.exports = { compile, core, fast, describe, protoText, beginBatch, codecFor, marks }
