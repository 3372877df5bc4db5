'use strict'

/**
 * Any in protobuf JSON: the message's fields, with its type URL as `@type`. A message with a special form has that form as
 * `value` instead of fields. An Any's bytes are the message, encoded with the schema's codec.
 */

const { define, get } = require('../plan')
const { bytesOf } = require('./scalars')
const { mismatch, refusal } = require('./errors')

/** Implementations differ on whether Empty has a special form, so both forms are read. */
const EMPTY = 'google.protobuf.Empty'

const any = {
  toJson (mapping, type, object, path, depth) {
    const url = object.type_url || ''
    const bytes = bytesOf(object.value ?? '', path + '.value')
    if (url === '' && bytes.length === 0) return {}
    const inner = typeAt(mapping, url, path + '.type_url')
    const message = attempt(path + '.value', () => mapping.decode(inner, bytes))
    const body = mapping.messageToJson(inner, message, path, depth - 1)
    const json = { '@type': url }
    if (mapping.isSpecial(inner)) {
      json.value = body
    } else {
      for (const key of Object.keys(body)) define(json, key, get(body, key))
    }
    return json
  },

  fromJson (mapping, type, json, path, depth) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw mismatch(path, json, 'an object')
    const { '@type': url, ...body } = json
    const keys = Object.keys(body)
    if (url === undefined && keys.length === 0) return {}
    const inner = typeAt(mapping, url, path + '["@type"]')
    const special = mapping.isSpecial(inner)
    const unwrap = special || (inner.full === EMPTY && keys.length > 0)
    if (unwrap && (keys.length !== 1 || keys[0] !== 'value')) throw refusal(path, `"@type" ${inner.full} goes with "value" and nothing else`)
    const message = mapping.messageFromJson(inner, unwrap ? body.value : body, unwrap ? path + '.value' : path, depth - 1)
    return { type_url: url, value: attempt(path, () => mapping.encode(inner, message)) }
  }
}

/** The message whose name a type URL ends with. */
function typeAt (mapping, url, path) {
  const slash = typeof url === 'string' ? url.lastIndexOf('/') : -1
  if (slash < 0) throw mismatch(path, url, 'a type URL such as "type.googleapis.com/package.Message"')
  const type = mapping.types.get(url.slice(slash + 1))
  if (type === undefined) throw mismatch(path, url, 'the type of a message that the schema knows')
  return type
}

/** Runs `work`, and adds the path to its errors, because codecs do not know it. */
function attempt (path, work) {
  try {
    return work()
  } catch (err) {
    throw refusal(path, err.message, err instanceof RangeError ? RangeError : TypeError)
  }
}

module.exports = { any }
