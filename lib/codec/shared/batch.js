'use strict'

/** Most bytes of a text from which strings are cut. A string that is kept may keep its whole text in memory. */
const TEXT = 4096
/** A string that begins within this many bytes after a text would have been in the next longer text. */
const NEAR = 512
/** Strings longer than this are read by themselves: scanning them byte by byte is slower than a call into C++. */
const LONG = 64

/**
 * The state of reading strings and bytes fields. Within a batch, one latin1 slice (the text) is made for many strings, which
 * are cut from it. Bytes fields are copied, because the buffer will be reused. `size` is the length of the next text, and
 * `served` is the end of the last string cut from the current one.
 */
const batch = { on: false, buffer: null, limit: 0, bytes: null, memory: null, shift: 0, text: '', start: 0, end: 0, size: TEXT, served: 0 }

/** Called before a single message is read. */
function beginMessage () {
  batch.on = false
}

/**
 * Called before many messages in `buffer` are read. Its bytes may have changed since the last batch, but must not change before
 * the end of this one.
 *
 * @param {Buffer} buffer
 * @param {number} limit end of the bytes that belong to the batch
 */
function beginBatch (buffer, limit) {
  batch.on = true
  batch.end = 0
  batch.limit = limit
  if (batch.buffer === buffer) return
  batch.buffer = buffer
  const memory = buffer.buffer
  if (batch.memory !== memory) {
    batch.memory = memory
    batch.bytes = new DataView(memory)
  }
  batch.shift = buffer.byteOffset
}

/** Whether the string in `[start, end)` of a buffer is cut from a text. */
function cutsText (buffer, start, end) {
  return batch.on && end - start <= LONG && buffer === batch.buffer && end <= batch.limit
}

/** The string in `[start, end)`, cut from a text if it is ASCII. */
function readFromText (buffer, start, end) {
  const { bytes, shift } = batch
  let i = start
  for (; i + 4 <= end; i += 4) {
    if (bytes.getUint32(shift + i, true) & 0x80808080) return buffer.utf8Slice(start, end)
  }
  for (; i < end; i++) {
    if (buffer[i] > 127) return buffer.utf8Slice(start, end)
  }
  if (end > batch.end || start < batch.start) {
    // The first text of a batch has no predecessor to learn from.
    if (batch.end > 0) resize(start)
    batch.start = start
    batch.end = Math.min(batch.limit, start + batch.size)
    batch.text = buffer.latin1Slice(start, batch.end)
  }
  batch.served = end
  return batch.text.substring(start - batch.start, end - batch.start)
}

/**
 * Adapts the size of texts to the distance between strings. The last text was too short if half of it was used and the next
 * string begins shortly after it, or if a quarter was used and it ends within the next string. Otherwise it was too long if
 * less than half of it was used.
 */
function resize (next) {
  const { start, end, served, size } = batch
  const used = (served - start) / (end - start)
  if (next < end ? used >= 1 / 4 : next < end + NEAR && used >= 1 / 2) batch.size = Math.min(TEXT, size << 1)
  else if (used < 1 / 2) batch.size = Math.max(LONG, size >> 1)
}

module.exports = { batch, beginMessage, beginBatch, cutsText, readFromText }
