'use strict'

/** The recorded data's form of JavaScript values in JSON: `{ "$": tag, … }` for what JSON cannot hold. */

function tag (value) {
  if (value === undefined) return { $: 'undefined' }
  if (typeof value === 'number') {
    if (Number.isNaN(value)) return { $: 'NaN' }
    if (value === Infinity) return { $: 'Infinity' }
    if (value === -Infinity) return { $: '-Infinity' }
    return Object.is(value, -0) ? { $: '-0' } : value
  }
  if (typeof value === 'string' && Buffer.from(value).toString() !== value) {
    return { $: 'utf16', units: Array.from({ length: value.length }, (_, i) => value.charCodeAt(i)) }
  }
  if (typeof value !== 'object' || value === null) return value
  if (Buffer.isBuffer(value)) return { $: 'buffer', hex: value.toString('hex') }
  if (Array.isArray(value)) return value.map(tag)
  return Object.fromEntries(Object.keys(value).map((key) => [key, tag(value[key])]))
}

const MAKERS = {
  undefined: () => undefined,
  NaN: () => NaN,
  Infinity: () => Infinity,
  '-Infinity': () => -Infinity,
  '-0': () => -0,
  utf16: ({ units }) => String.fromCharCode(...units),
  bigint: ({ v }) => BigInt(v),
  function: () => function () {},
  symbol: () => Symbol('s'),
  buffer: ({ hex }) => Buffer.from(hex, 'hex'),
  uint8array: ({ hex }) => new Uint8Array(Buffer.from(hex, 'hex')),
  date: ({ ms }) => new Date(ms),
  map: ({ entries }) => new Map(entries.map(([key, value]) => [untag(key), untag(value)])),
  set: ({ values }) => new Set(values.map(untag)),
  boxed: ({ v }) => Object(untag(v)),
  object: ({ v }) => untagged(v)
}

function untag (json) {
  if (json === null || typeof json !== 'object') return json
  if (Array.isArray(json)) return json.map(untag)
  return '$' in json ? MAKERS[json.$](json) : untagged(json)
}

function untagged (json) {
  const object = {}
  for (const key of Object.keys(json)) {
    Object.defineProperty(object, key, { value: untag(json[key]), enumerable: true, writable: true, configurable: true })
  }
  return object
}

module.exports = { tag, untag }
