'use strict'

/**
 * Encoded messages are written into blocks of memory, from which the resulting Buffers are cut, as with Node's own pool.
 * Cutting costs far less than allocating, and the length need not be known beforehand.
 */

/** Block for messages below {@link SMALL}: 8 KB, the size of Node's own pool. */
const SMALL_BLOCK = 8 * 1024
/** Block for messages up to {@link LARGE}. */
const LARGE_BLOCK = 64 * 1024
/**
 * Messages up to this size share small blocks. A single message that is kept keeps 8 KB in memory, as in Node's pool. A larger
 * one keeps 64 KB, at most 500 times its size.
 */
const SMALL = 128
/** Larger messages get a Buffer of their own. */
const LARGE = 16 * 1024

/** The class of Node's own pooled Buffers: constructing one directly takes a third of the time of `subarray`. */
const FastBuffer = Buffer[Symbol.species]

/**
 * Room that is reserved from the start of a message: several times the size of the messages in such a block. Writing past the
 * end of a block is allowed, but makes V8 run that code more slowly from then on.
 */
const SMALL_ROOM = 1024
const LARGE_ROOM = 16 * 1024

/**
 * A block, and how much of it is used; messages start at `last` at the latest. `memory` is its ArrayBuffer, which is slow to
 * read from a Buffer.
 */
function blockOf (size, room) {
  const block = { buffer: null, memory: null, position: 0, size, last: size - room }
  renew(block)
  return block
}

function renew (block) {
  block.buffer = Buffer.allocUnsafeSlow(block.size)
  block.memory = block.buffer.buffer
  block.position = 0
}

const small = blockOf(SMALL_BLOCK, SMALL_ROOM)
const large = blockOf(LARGE_BLOCK, LARGE_ROOM)

/** A user's getter or valueOf may encode during an encode; the inner one must not share the block. */
let busy = false

/**
 * Encodes `object` with `write(object, buffer, position) -> end`. A `write` that runs out of room continues counting, so its
 * result tells the needed size.
 *
 * @param {Function} write generated encoder
 * @param {object} object message
 * @param {number} guess size of the last message of this type
 * @returns {Buffer|null} null if another encode is under way, or if `write` threw
 */
function encode (write, object, guess) {
  if (busy) return null
  busy = true
  try {
    if (guess > LARGE) return single(write, object, guess + (guess >>> 3))
    const block = guess > SMALL ? large : small
    if (block.position > block.last) renew(block)
    const start = block.position
    const end = write(object, block.buffer, start)
    if (end > block.size) return retry(write, object, end - start)
    // Offsets stay multiples of eight, as in Node's pool, so that users may make typed arrays over a result.
    block.position = (end + 7) & -8
    return new FastBuffer(block.memory, start, end - start)
  } catch (err) {
    return null
  } finally {
    busy = false
  }
}

/** Encodes again, because the block had too little room for a message of `size` bytes. */
function retry (write, object, size) {
  if (size > LARGE) return single(write, object, size)
  const block = size > SMALL ? large : small
  if (block.position + size > block.size) renew(block)
  const start = block.position
  const end = write(object, block.buffer, start)
  // A getter may give another value the second time.
  if (end > block.size) return single(write, object, end - start)
  block.position = (end + 7) & -8
  return new FastBuffer(block.memory, start, end - start)
}

function single (write, object, size) {
  for (;;) {
    const buffer = Buffer.allocUnsafeSlow(size)
    const end = write(object, buffer, 0)
    if (end === size) return buffer
    // If it is far smaller than guessed, a small message must not keep a large block in memory.
    if (end < size && end * 2 > size) return buffer.subarray(0, end)
    size = end
  }
}

/** A copy of `[start, end)`, cut from a block. */
function copy (buffer, start, end) {
  const size = end - start
  if (size > LARGE) return Buffer.from(buffer.subarray(start, end))
  const block = size > SMALL ? large : small
  if (block.position + size > block.size) renew(block)
  const at = block.position
  const result = new FastBuffer(block.memory, at, size)
  if (size < 32) {
    for (let i = 0; i < size; i++) result[i] = buffer[start + i]
  } else {
    // A view for each copy would cost as much as the copying.
    buffer.copy(block.buffer, at, start, end)
  }
  block.position = (at + size + 7) & -8
  return result
}

/** The view `[start, end)`, both within the buffer. */
function view (buffer, start, end) {
  return new FastBuffer(buffer.buffer, buffer.byteOffset + start, end - start)
}

module.exports = { encode, copy, view }
