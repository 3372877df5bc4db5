'use strict'

/** Compares random messages in standard encoding with protobufjs: both must write the same bytes and read the same values. */

const random = require('./random')
const { same, show } = require('./compare')

function run ({ seed, cases, protobufjs, compile }) {
  const count = { cases: 0 }
  for (; count.cases < cases; seed++) {
    const r = random.generator(seed)
    const schema = random.schema(r, { strict: true })
    const ours = compile(schema.text, { protobuf: 'standard' })
    const { root } = protobufjs.parse(schema.text, { keepCase: true })
    for (const message of schema.messages) {
      const theirs = root.lookupType(message.name)
      for (let i = 0; i < 8; i++) compare(r, schema, message, ours[message.name], theirs, seed, count)
    }
  }
  return count
}

function compare (r, schema, message, ours, theirs, seed, count) {
  count.cases++
  const input = random.value(r, schema, message, { standard: true })
  const fail = (what, details) => {
    throw new Error(`seed ${seed}: ${what}\n${schema.text}\n${Object.entries(details).map(([key, value]) => `${key}: ${show(value)}`).join('\n')}`)
  }
  const bytes = ours.encode(input)
  const expected = Buffer.from(theirs.encode(theirs.fromObject(input)).finish())
  if (!bytes.equals(expected)) fail('bytes differ', { input, ours: bytes.toString('hex'), theirs: expected.toString('hex') })
  if (ours.encodingLength(input) !== bytes.length) fail('encodingLength', { input })
  const again = ours.decode(expected)
  if (!ours.encode(present(input, again, ours)).equals(bytes)) fail('decoded values differ', { input, again })
  // A message in two parts is the merged message.
  const twice = theirs.decode(Buffer.concat([expected, expected]))
  const merged = Buffer.from(theirs.encode(twice).finish())
  const ourMerged = ours.decode(Buffer.concat([bytes, bytes]))
  if (!same(ourMerged, ours.decode(merged))) fail('merged values differ', { input, ourMerged, theirs: ours.decode(merged) })
  roundTripJson(ours, again, fail)
}

/** `decoded` without the defaults of what `input` does not have. */
function present (input, decoded) {
  const object = {}
  for (const key of Object.keys(input)) {
    const value = input[key]
    const nested = (a, b) => typeof a === 'object' && a !== null && !Buffer.isBuffer(a) && !Array.isArray(a) ? present(a, b) : b
    object[key] = Array.isArray(value) ? value.map((item, i) => nested(item, decoded[key][i])) : nested(value, decoded[key])
  }
  return object
}

function roundTripJson (ours, decoded, fail) {
  const text = JSON.stringify(ours.toJSON(decoded))
  const back = ours.fromJSON(JSON.parse(text))
  if (!ours.encode(back).equals(ours.encode(decoded))) fail('JSON', { decoded, text, back })
}

module.exports = { run }
