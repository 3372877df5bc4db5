'use strict'

/** 1.x's encoding for a plan: generated code that falls back to the interpreter, or only the interpreter. */

const interpreter = require('./interpreter')
const runtime = require('./runtime')
const wire = require('./wire')
const { generate } = require('./generator')
const { cursor } = require('../shared/cursor')
const { define } = require('../plan')
const { Fault, named } = require('../shared/faults')

/**
 * Most messages of a plan for which code is generated. V8 refuses a function for 80,000 ("Maximum call stack size exceeded").
 */
const MAX_GENERATED = 32768

/**
 * @param {object} plan linked plan
 * @param {boolean} interpret generate no code
 * @returns {object} the engine: `write`, `read`, `length` and `slow` by message index
 */
function v1Engine (plan, interpret) {
  interpreter.prepare(plan)
  const generated = interpret || plan.messages.length > MAX_GENERATED ? null : run(generate(plan), plan)
  return {
    encoding: 0,
    /**
     * Generated encoders `(object, buffer, position) -> end`. They also throw for valid values, which the interpreter then
     * encodes.
     */
    writers: generated && generated.encoders,
    /** Decoders `(buffer, start, end) -> object`, leaving the end in `cursor.position`. */
    readers: generated ? generated.decoders : plan.messages.map((type) => (buffer, start, end) => interpreter.decodeFrom(type, buffer, start, end)),
    length: (type, object) => named(type.name, () => interpreter.encodingLength(type, object)),
    /** Encodes like 1.x for all values: in two passes, with 1.x's errors in 1.x's order. */
    slow: (type, object) => named(type.name, function () {
      const length = interpreter.encodingLength(type, object)
      // Zero-filled, like 1.x's own buffers: the zeros are visible after short fixed64 values.
      const buffer = Buffer.alloc(length)
      const end = interpreter.encodeTo(type, object, buffer, 0)
      if (end !== length) throw new Fault()
      return buffer
    }),
    /** Encodes into the user's buffer, without the first pass, as 1.x does. */
    slowAt: (type, object, buffer, position) => named(type.name, () => interpreter.encodeTo(type, object, buffer, position))
  }
}

function run (source, plan) {
  const env = {
    R: runtime,
    W: wire.scalars,
    C: cursor,
    I: interpreter,
    T: plan.messages,
    P: define,
    N: plan.enums.map((type) => type.numbers),
    skip: wire.skip
  }
  return new Function('env', source)(env) // eslint-disable-line no-new-func
}

module.exports = { v1Engine }
