'use strict'

/**
 * The state of decoding. All decoders, of both encodings, share it for what they return in addition to their value.
 *
 * - `position`: the end of what was read last.
 * - `reached`: the farthest byte that decoding relied on. It may be beyond `position`, because an int64 counts as ten bytes
 *   whatever its length.
 * - `left`: the rest of the memory budget (budget.js).
 * - `strict`: a field whose wire type is not what 1.x writes for it is refused; otherwise, as in 1.x, it is read, and `reached`
 *   becomes `SUSPECT`.
 */
const cursor = { position: 0, reached: 0, left: 0, strict: false }

/** A position beyond the end of every buffer. */
const SUSPECT = 2 ** 30

module.exports = { cursor, SUSPECT }
