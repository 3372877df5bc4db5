'use strict'

const { fieldOf } = require('./schema')

/** Methods of an emitter whose first argument names an event. */
const CALL = /\bhyper\s*\.\s*(emit|append|on|once|off|addListener|prependListener|removeListener|removeAllListeners|listenerCount|listeners|registerCodec)\s*\(\s*(['"`])/g

/** Those that take a payload after it. */
const WITH_PAYLOAD = new Set(['emit', 'append'])

/**
 * Completes what node:repl cannot: names of events, and names of their fields.
 * @param {import('./schema').Schema} schema
 * @returns {(line: string) => [string[], string]|undefined} completions and what they complete, as node:repl wants them;
 *   undefined where nothing of ours is being typed
 */
function completer (schema) {
  const names = [...schema.names, 'EventPeer']
  return (line) => {
    const call = [...line.matchAll(CALL)].pop()
    if (!call) return undefined
    const [text, method, quote] = call
    const rest = line.slice(call.index + text.length)
    const end = rest.indexOf(quote)
    if (end === -1) return matching(names, rest, quote)
    const message = schema.message(rest.slice(0, end))
    if (!message || !WITH_PAYLOAD.has(method)) return undefined
    const fields = fieldsAt(message, rest.slice(end + 1))
    return fields && matching(fields.names, fields.typed, ': ')
  }
}

/** A single completion is finished with `suffix`: the quote, or the colon. */
function matching (names, typed, suffix) {
  const found = names.filter((name) => name.startsWith(typed))
  return [found.length === 1 ? [found[0] + suffix] : found, typed]
}

/**
 * Which fields may follow in an object literal that is being typed.
 * @param {import('../codec/plan').Message} message the event's
 * @param {string} text between the event's name and the cursor
 */
function fieldsAt (message, text) {
  const tokens = text.match(/'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|`(?:[^`\\]|\\.)*`?|[\w$]+|\S/g) ?? []
  const open = [] // the objects and lists around the cursor: of which message, what was named there
  let key
  let expected = false // a key, rather than a value
  for (const token of tokens) {
    const inner = open[open.length - 1]
    if (token === '{') {
      open.push({ message: inner ? inner.list ? inner.message : messageIn(inner, key) : message, used: new Set() })
      expected = true
    } else if (token === '[') {
      open.push({ message: messageIn(inner, key), list: true })
      expected = false
    } else if (token === '}' || token === ']') {
      open.pop()
      expected = false
    } else if (token === ',') expected = Boolean(inner && !inner.list)
    else if (token === ':') expected = false
    else if (expected && inner) {
      key = token.replace(/^['"]|['"]$/g, '')
      inner.used.add(key)
    }
  }
  const inner = open[open.length - 1]
  if (!expected || !inner?.message?.fields) return undefined
  const last = tokens[tokens.length - 1]
  const typed = /^[\w$]+$/.test(last) && /[\w$]$/.test(text) ? last : ''
  if (typed === '' && last !== '{' && last !== ',') return undefined
  inner.used.delete(typed)
  return { typed, names: inner.message.fields.map(({ name }) => name).filter((name) => !inner.used.has(name)) }
}

/** The message that a field of an open object holds; undefined for any other value, and for a map. */
function messageIn (object, key) {
  const field = object?.message && fieldOf(object.message, key)
  return field?.kind === 'message' && !field.map ? field.type : undefined
}

module.exports = { completer }
