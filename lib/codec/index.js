'use strict'

/**
 * Schemas and codecs: `.proto` text is compiled in Rust (src/codec), encoders and decoders are generated from its plan.
 */

const coreText = require('./core')
const { link } = require('./plan')
const { build, fast, beginBatch, codecFor } = require('./messages')
const { jsonHelpers } = require('./json')
const { legacyEngine } = require('./legacy/engine')
const { standardEngine } = require('./standard/engine')

/**
 * Compiles a schema.
 *
 * @param {string|Buffer} schema `.proto` text
 * @param {object} [opts]
 * @param {string} [opts.protobuf] `'standard'` for standard protobuf bytes; 1.x's otherwise
 * @param {string} [opts.file] name of the schema, for errors
 * @param {string|string[]|object} [opts.include] where imports are: directories, or an object of texts by import path
 * @param {boolean} [opts.interpret] generate no code, as where it is forbidden
 * @param {object} [opts.binding] native binding
 * @returns {object} messages and enums by name, in the shape of protocol-buffers 3.2.1
 * @throws {Error} `ERR_HYPER_SCHEMA` with line, column and cause
 */
function compile (schema, opts) {
  opts = opts || {}
  const text = String(schema)
  const binding = opts.binding || require('../native')
  const json = binding.compileSchema(text, JSON.stringify(sources(opts)))
  const standard = opts.protobuf === 'standard'
  if (!standard && opts.protobuf !== undefined && opts.protobuf !== null && opts.protobuf !== '1.x') {
    throw new TypeError(`protobuf is 'standard' or '1.x', not ${String(opts.protobuf)}`)
  }
  return assemble(text, json, standard, opts.interpret)
}

/** Messages of a plan in one of the two encodings; the other is made when an event of it turns up. */
function assemble (text, json, standard, interpret) {
  const plan = link(json)
  const engine = standard ? standardEngine(plan) : legacyEngine(plan, interpret || !canGenerate())
  return build({ text, json, plan, engine, helpers: jsonHelpers(plan, engine, !standard), twins: once(() => twins(json, !standard, interpret)) })
}

/** The messages of the same plan in the other encoding, by index. */
function twins (json, standard, interpret) {
  const found = []
  const plan = link(json)
  const engine = standard ? standardEngine(plan) : legacyEngine(plan, interpret || !canGenerate())
  build({ text: '', json, plan, engine, helpers: jsonHelpers(plan, engine, !standard), twins: () => [], built: found })
  return found
}

function once (make) {
  let made
  return () => made || (made = make())
}

/** The JSON form of `Sources` in src/codec/schema.rs. */
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

module.exports = { compile, core, fast, beginBatch, codecFor }
