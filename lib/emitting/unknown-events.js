'use strict'

const { isUint8Array } = require('node:util/types')

const { fast } = require('../codec')
const { noSuchMessage } = require('../errors')
const { hint } = require('../nearest')

/**
 * Events without a message in the schema and without a registered codec. Their payloads are bytes; in 1.x's encoding they may
 * be text.
 */

/** The messages that every emitter knows. If there are no others, the user gave no schema. */
const CORE = new Set(['Event', 'EventPeer'])

/**
 * The names of messages and registered codecs, found without calling users' codecs. 1.x also makes messages of the entries of
 * maps, which nobody means.
 */
function known (codecs) {
  return Object.keys(codecs).filter((name) => {
    const codec = codecs[name]
    return !CORE.has(name) && codec !== null && typeof codec === 'object' && 'encode' in codec && fast(codec)?.type.entry !== true
  })
}

/**
 * Throws if text is emitted under an unknown name, there is a schema, and standard encoding or `strict` is used. 1.x has
 * neither, so this cannot be a program for 1.x that emits text on purpose; the name is probably misspelt.
 */
function refuseText (name, codecs) {
  const names = known(codecs)
  if (names.length > 0) throw refusal(name, names, 'payload is text', TypeError)
}

/**
 * What to throw for an event without a codec.
 *
 * @param {*} name
 * @param {*} payload
 * @param {object} codecs
 * @param {Error} error what was wrong, in 1.x's words
 * @returns {Error} `error` itself, unless the payload is invalid and there is a schema
 */
function unencodable (name, payload, codecs, error) {
  if (typeof name !== 'string' || name in Object.prototype || typeof payload === 'string' || isUint8Array(payload)) return error
  const names = known(codecs)
  return names.length === 0 ? error : refusal(name, names, error.message, error instanceof TypeError ? TypeError : Error)
}

function refusal (name, names, reason, Class) {
  return noSuchMessage(name, reason, hint(name, names, CORE), Class)
}

module.exports = { refuseText, unencodable }
