'use strict'

const { WKT, WRAPPERS, fields } = require('./json-schema')

/**
 * Random JSON for M.
 * @param {object} r generator of ./random.js
 * @param {boolean} legacy only what 1.x's encoding can hold
 */
function randomJson (r, legacy) {
  const { pick, chance, below } = r

  function whole (kind) {
    const long = kind.endsWith('64')
    const bits = long ? (legacy ? 53n : 64n) : 32n
    const signed = !/^[uf]/.test(kind)
    const high = 2n ** (signed ? bits - 1n : bits) - 1n
    const value = pick([0n, 1n, BigInt(below(1000)), high, ...signed ? [-1n, -high] : []])
    return long ? String(value) : pick([Number(value), String(value)])
  }

  function scalar (kind) {
    switch (kind) {
      case 'bool': return pick([true, false])
      case 'string': return pick(['', 'a', 'ünï\u{1f600}', '__proto__', '1'])
      case 'bytes': return Buffer.from(Array.from({ length: below(5) }, () => below(256))).toString(pick(['base64', 'base64url']))
      case 'float': return pick([0, 0.5, -1.5, 3.4028234663852886e38, ...legacy ? [] : ['NaN'], 'Infinity', '-Infinity', '2.5e-1'])
      case 'double': return pick([0, 0.1, -1e300, 5e-324, ...legacy ? [] : ['NaN'], 'Infinity', '-Infinity', '1e3'])
      default: return whole(kind)
    }
  }

  function time () {
    const date = new Date(below(5e12) - (legacy ? 0 : 1e12)).toISOString().slice(0, 19)
    return date + pick(['', '.5', '.123456789', '.000001']) + pick(['Z', '+01:30', '-23:59'])
  }

  function jsonValue (depth) {
    const kind = below(depth > 0 ? 6 : 4)
    if (kind === 4) return Array.from({ length: below(3) }, () => jsonValue(depth - 1))
    if (kind === 5) return object(depth - 1)
    return [null, pick([0, -1.5, 1e100]), pick(['', 'NaN', 'text']), pick([true, false])][kind]
  }

  function object (depth) {
    return JSON.parse(`{${['a', legacy ? 'b' : '__proto__', ''].filter(() => chance(0.4)).map((key) => `${JSON.stringify(key)}:${JSON.stringify(jsonValue(depth))}`).join()}}`)
  }

  function any (depth) {
    const name = pick(['Timestamp', 'Duration', 'Value', 'Struct', 'FieldMask', 'UInt64Value', 'StringValue', 'M', 'Any', 'nothing'])
    if (name === 'nothing') return {}
    if (name === 'M') return { '@type': 'type.googleapis.com/p.M', ...message(depth - 1) }
    return { '@type': `type.googleapis.com/${WKT}${name}`, value: special(name, depth - 1) }
  }

  function special (name, depth) {
    if (name.endsWith('Value') && WRAPPERS.includes(name)) return scalar(name.slice(0, -5).toLowerCase())
    switch (name) {
      case 'Any': return depth > 0 ? any(depth) : {}
      case 'Struct': return object(2)
      case 'Value': return jsonValue(2)
      case 'ListValue': return [jsonValue(1), jsonValue(2)]
      case 'NullValue': return pick([null, 'NULL_VALUE', 0])
      case 'FieldMask': return pick(['', 'a', 'fooBar.baz,x1', 'aB.cD'])
      case 'Empty': return {}
      case 'Timestamp': return time()
      default: return pick(['0s', '-0.5s', '315576000000s', '1.000000001s', '-3.25s'])
    }
  }

  function item (type, depth) {
    if (type === 'M') return message(depth - 1)
    if (type === 'E') return pick(['ZERO', 'ONE', 'EINS', 0, ...legacy ? [] : [-1, 77]])
    return type.startsWith(WKT) ? special(type.slice(WKT.length), depth) : scalar(type)
  }

  function key (kind) {
    if (kind === 'bool') return pick(legacy ? ['true'] : ['true', 'false'])
    return legacy ? String(scalar(kind)).replace(/^-/, '') : String(scalar(kind))
  }

  function field ({ type, label, key: keyed }, depth) {
    const some = (make) => Array.from({ length: below(3) }, make)
    if (label) return some(() => item(type, depth))
    if (!keyed) return chance(0.1) && !type.startsWith(WKT) ? null : item(type, depth)
    return JSON.parse(`{${[...new Map(some(() => [key(keyed), item(type, depth)]))].filter(([key]) => !legacy || key !== '__proto__').map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join()}}`)
  }

  function message (depth) {
    const members = fields.filter(({ oneof }) => oneof)
    const chosen = pick(members)
    const present = fields.filter((each) => (!each.oneof || each === chosen) && (depth > 0 || each.type !== 'M') && chance(0.12))
    return JSON.parse(`{${present.map((each) => `${JSON.stringify(pick([each.name, each.json]))}:${JSON.stringify(field(each, depth))}`).join()}}`)
  }

  return message(3)
}

module.exports = { randomJson }
