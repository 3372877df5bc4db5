'use strict'

/**
 * Where decoding is. All decoders, of both encodings, share it: they leave here what they return besides their value.
 *
 * - `position`: behind what was read last.
 * - `reached`: the end of the longest varint whose field ends before it: int64 counts ten bytes, whatever it read.
 * - `left`: what decoding may still take (budget.js).
 * - `strict`: a field whose wire type is not what 1.x writes for it is refused; otherwise, as in 1.x, it is read, and `reached`
 *   becomes `SUSPECT`.
 */
const cursor = { position: 0, reached: 0, left: 0, strict: false }

/** Behind the end of every buffer that is read. */
const SUSPECT = 2 ** 30

module.exports = { cursor, SUSPECT }
