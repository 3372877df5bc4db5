'use strict'

const { isUint8Array } = require('node:util/types')

const { badSchema, codecsNotExtensible, laxCodec, schemaTooLong } = require('./errors')
const codec = require('./codec')
const native = require('./native/addon')

/** Longest schema text read from a stream, in bytes: far more than any schema needs, and still little memory. */
const MAX_TEXT = 16 * 1024 * 1024

/**
 * The codecs object for the second argument of the constructor, as in 1.x. Text is compiled, and a stream of text is read
 * first. Without an argument it is an array with the core codecs. Any other object is used itself, and completed.
 *
 * @param {*} schema
 * @param {object} options the emitter's options; `protobuf`, `strict` and `include` are passed to the compiler
 * @returns {{ codecs: object, read?: Promise<object> }} `read` settles when a stream has been read, and its messages are in `codecs`
 */
function loadSchema (schema, options) {
  if (!schema) return { codecs: complete([]) }
  if (typeof schema === 'string' || isUint8Array(schema)) return { codecs: complete(compileText(schema, options)) }
  if (typeof schema !== 'object' && typeof schema !== 'function') throw badSchema(schema)
  if (typeof schema.pipe === 'function' && typeof schema[Symbol.asyncIterator] === 'function') {
    const codecs = complete({})
    return { codecs, read: readSchema(schema, options, codecs) }
  }
  if (options.strict === true) checkStrict(schema)
  return { codecs: complete(schema) }
}

/** Refuses `strict` for messages that have been compiled without it, because it would have no effect. */
function checkStrict (codecs) {
  for (const name of Object.keys(codecs)) {
    const pair = codecs[name] && codec.fast(codecs[name])
    if (pair && !pair.strict && codecs[name] !== codec.core(native)[name]) throw laxCodec(name)
  }
}

function compileText (text, options) {
  return codec.compile(typeof text === 'string' ? text : Buffer.from(text).toString(), { ...options, binding: native })
}

/** Adds the two codecs that every emitter has, in place of the caller's (1.x). */
function complete (codecs) {
  for (const [name, core] of Object.entries(codec.core(native))) {
    if (!Reflect.set(codecs, name, core)) throw codecsNotExtensible()
  }
  return codecs
}

async function readSchema (stream, options, codecs) {
  const chunks = []
  let length = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    length += bytes.length
    if (length > MAX_TEXT) throw schemaTooLong(MAX_TEXT)
    chunks.push(bytes)
  }
  return complete(Object.assign(codecs, compileText(Buffer.concat(chunks), options)))
}

module.exports = { loadSchema, compileText }
