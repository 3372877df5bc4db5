'use strict'

const { isUint8Array } = require('node:util/types')

const { fast } = require('../codec')
const { nameNotString, nameRequired, payloadNotBytes, payloadRequired, reservedName, tooLarge, valueFault } = require('../errors')
const {
  EMIT_HEAD_BYTES, EMIT_LENGTH_WORD, EMIT_FLAGS_WORD, EMIT_ACK_SHIFT, EMIT_ENCODING_SHIFT, EMIT_ALIGNMENT, EMIT_TAGGED,
  ASK_PLAIN, ASK_NODE, BATCH, DEMAND_ID, DEMAND_CONDITION
} = require('./layout')

/** Bytes of the buffer. */
const SIZE = 256 * 1024

/**
 * When the buffer is filled to this mark, it is flushed immediately. Within one microtask the mark doubles with each such
 * flush, from the first value to the last: so the native half starts early, and then gets much at a time.
 */
const FIRST_FLUSH = 48 * 1024
const LAST_FLUSH = 192 * 1024

/** When the buffer has this many events, it is flushed: the native half works on them while the next ones are encoded. */
const FLUSH_COUNT = 256

/**
 * The most texts in a list, and the most bytes in a text, that a record can hold. The layout has one byte for the number of
 * texts, and one for the length less 1.
 */
const MAX_TEXTS = 64
const MAX_TEXT_LENGTH = 256

/** Differs from every name. */
const NOBODY = {}

/** The most bytes that a container adds to name and payload (src/event.rs). */
const CONTAINER = 48

/**
 * Emits on their way to the native half. They are encoded into the buffer immediately, so that nothing is left if encoding
 * throws. They are handed over together: at the end of the current microtask, when there are many, or when the buffer is nearly
 * full.
 */
class EmitBuffer {
  /**
   * @param {object} core the native half
   * @param {number} maxEventSize bytes of the largest container
   * @param {import('./turn-scheduler')} scheduler
   */
  constructor (core, maxEventSize, scheduler) {
    this.core = core
    this.maxEventSize = maxEventSize
    this.scheduler = scheduler
    this.bytes = Buffer.allocUnsafeSlow(SIZE)
    this.words = new Uint32Array(this.bytes.buffer)
    /** The end of the filled part, and the number of events in it. */
    this.end = 0
    this.count = 0
    this.flushAt = FIRST_FLUSH
    /** The native half's numbers for names. */
    this.numbers = new Map()
    this.latestName = NOBODY
    this.latestNumber = undefined
    /** Whether a payload is being encoded into the buffer. */
    this.encoding = false
    /** Whether a flush is scheduled for the end of the current microtask. */
    this.scheduled = false
    this.flushSoon = () => {
      this.scheduled = false
      this.flush()
      this.flushAt = FIRST_FLUSH
    }
  }

  /**
   * Appends one event. If the codec throws, this throws the same, and nothing is appended.
   *
   * @param {string} name
   * @param {object} encoder the name's codec; the parameter has this name so that V8's message about a missing `encode` is the
   *        same as in 1.x
   * @param {*} payload
   * @param {number} ack PLAIN or NODE: the answer asked for
   * @param {string[]} [tags] checked
   */
  append (name, encoder, payload, ack, tags) {
    const pair = fast(encoder)
    if (pair === null) return this.appendEncoded(name, encoder.encode(payload), ack, 0, tags)
    const number = this.number(name)
    // A getter of the payload may emit; the buffer has room for one writer only.
    if (this.encoding || number === undefined) return this.appendEncoded(name, pair.encoded(payload), ack, pair.encoding, tags)
    const start = this.end
    let end
    this.encoding = true
    try {
      end = pair.write(payload, this.bytes, start + EMIT_HEAD_BYTES)
    } finally {
      this.encoding = false
    }
    if (end < 0) return this.appendEncoded(name, pair.encoded(payload), ack, pair.encoding, tags)
    if (this.end !== start) {
      // Another event was emitted while this one was being encoded, and was appended first. This one is intact after the
      // flushed part.
      return this.appendEncoded(name, Buffer.from(this.bytes.subarray(start + EMIT_HEAD_BYTES, end)), ack, pair.encoding, tags)
    }
    if (tags !== undefined) {
      const length = tagsLength(tags)
      if (end + length > SIZE) return this.appendEncoded(name, pair.encoded(payload), ack, pair.encoding, tags)
      this.checkSize(name, end - start - EMIT_HEAD_BYTES + containerLength(tags))
    } else {
      this.checkSize(name, end - start - EMIT_HEAD_BYTES)
    }
    this.commit(start, end, number, ack, pair.encoding, tags)
  }

  /** Appends bytes or text as the payload. */
  appendEncoded (name, payload, ack, mark, tags) {
    const number = this.number(name)
    const length = byteLength(payload, name)
    const more = tagsLength(tags)
    this.checkSize(name, length + containerLength(tags))
    if (number === undefined || this.encoding || EMIT_HEAD_BYTES + length + more > SIZE) {
      const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
      this.flush()
      if (this.core.append(name, bytes, ack, mark, tags)) this.scheduler.schedule()
      return
    }
    if (this.end + EMIT_HEAD_BYTES + length + more > SIZE) this.flush()
    const start = this.end
    const at = start + EMIT_HEAD_BYTES
    if (typeof payload === 'string') this.bytes.utf8Write(payload, at, length)
    else this.bytes.set(payload, at)
    this.commit(start, at + length, number, ack, mark, tags)
  }

  commit (start, end, number, ack, mark, tags) {
    this.commitEnd(this.putHead(start, end, number, ack, mark, tags))
  }

  /** Completes the record whose payload has been written from `start` to `end`. Returns where the next one begins. */
  putHead (start, end, number, ack, mark, tags) {
    const word = start >>> 2
    this.words[word + EMIT_LENGTH_WORD] = end - start - EMIT_HEAD_BYTES
    if (tags !== undefined) {
      mark |= EMIT_TAGGED
      end = putTags(this.bytes, tags, end)
    }
    this.words[word + EMIT_FLAGS_WORD] = number | ack << EMIT_ACK_SHIFT | mark << EMIT_ENCODING_SHIFT
    return aligned(end)
  }

  /** Records have been written up to `end`. Flushes if that is enough, or at the end of the current microtask. */
  commitEnd (end) {
    this.end = end
    if (!this.scheduled) {
      this.scheduled = true
      queueMicrotask(this.flushSoon)
    }
    if (this.end >= this.flushAt) {
      this.flushAt = Math.min(2 * this.flushAt, LAST_FLUSH)
      this.flush()
    } else if (++this.count >= FLUSH_COUNT) {
      this.flush()
    }
  }

  /**
   * Appends events that are stored together or not at all, after everything that was appended before.
   *
   * @param {import('../emitting/batch').Batch} batch
   * @param {import('../emitting/demands').Demands} [demands]
   * @param {number} ack PLAIN or NODE: the answer asked for by each event
   */
  appendBatch (batch, demands, ack) {
    const head = demandsLength(demands)
    let size = head + EMIT_HEAD_BYTES + EMIT_ALIGNMENT
    for (const { bytes, tags } of batch.events) size += aligned(EMIT_HEAD_BYTES + bytes.length + tagsLength(tags))
    const numbers = batch.names.map((name) => this.number(name))
    // A batch is handed over by itself if it does not fit the buffer, if a name has no number, or if a payload is just being
    // encoded into the buffer.
    if (size > SIZE || numbers.includes(undefined) || this.encoding) {
      this.flush()
      this.handOver(batch, demands, ack)
      return
    }
    if (this.end + size > SIZE) this.flush()
    const { bytes, words, end: start } = this
    const word = start >>> 2
    words[word + EMIT_LENGTH_WORD] = head
    words[word + EMIT_FLAGS_WORD] = batch.events.length | BATCH << EMIT_ACK_SHIFT
    putDemands(bytes, demands, start + EMIT_HEAD_BYTES)
    this.count += batch.events.length - 1
    this.commitEnd(putEvents(bytes, words, batch.events, numbers, ack, aligned(start + EMIT_HEAD_BYTES + head)))
  }

  /** Whether {@link write} takes events with this name. */
  knows (name) {
    return name === this.latestName || this.numbers.has(name)
  }

  /**
   * Begins a batch. {@link write} encodes its events into the buffer, behind its end, and {@link endBatch} appends it. The caller ends
   * with {@link leave}, whatever happens.
   *
   * @param {import('../emitting/demands').Demands} [demands]
   * @returns {number} where its first event begins; -1 if it cannot be written here
   */
  beginBatch (demands) {
    const head = demandsLength(demands)
    // A getter of another payload may append; the buffer has room for one writer only.
    if (this.encoding || this.end + EMIT_HEAD_BYTES + head > SIZE) return -1
    this.encoding = true
    this.words[(this.end >>> 2) + EMIT_LENGTH_WORD] = head
    putDemands(this.bytes, demands, this.end + EMIT_HEAD_BYTES)
    return aligned(this.end + EMIT_HEAD_BYTES + head)
  }

  /** Encodes an event of a batch. Returns where the next one begins; -1 if there is no room. */
  write (at, name, pair, payload, ack, tags) {
    const number = this.number(name)
    if (at + EMIT_HEAD_BYTES > SIZE) return -1
    const end = pair.write(payload, this.bytes, at + EMIT_HEAD_BYTES)
    if (end < 0) return -1
    this.checkSize(name, end - at - EMIT_HEAD_BYTES + containerLength(tags))
    return end + tagsLength(tags) > SIZE ? -1 : this.putHead(at, end, number, ack, pair.encoding, tags)
  }

  /** Appends the batch that was begun at `start`, with `count` events up to `end`. */
  endBatch (start, end, count) {
    if (this.end !== start) {
      // A getter has appended other events, which has emptied the buffer.
      this.bytes.copyWithin(this.end, start, end)
      end += this.end - start
    }
    this.words[(this.end >>> 2) + EMIT_FLAGS_WORD] = count | BATCH << EMIT_ACK_SHIFT
    this.count += count - 1
    this.commitEnd(end)
  }

  leave () {
    this.encoding = false
  }

  handOver ({ names, events }, demands, ack) {
    let size = 0
    for (const { bytes, tags } of events) size += aligned(EMIT_HEAD_BYTES + bytes.length + tagsLength(tags))
    const records = Buffer.allocUnsafeSlow(size)
    putEvents(records, new Uint32Array(records.buffer), events, [...names.keys()], ack, 0)
    const { id, filter, after, consumer, kept } = demands ?? {}
    if (this.core.appendBatch(names, records, id, filter, after, consumer, kept)) this.scheduler.schedule()
  }

  /** Hands everything over. */
  flush () {
    const length = this.end
    if (length === 0) return
    this.end = 0
    this.count = 0
    if (this.core.flush(this.bytes, length)) this.scheduler.schedule()
  }

  checkSize (name, length) {
    const size = length + name.length + CONTAINER
    if (size <= this.maxEventSize) return
    throw tooLarge(name, size, this.maxEventSize)
  }

  number (name) {
    // Programs emit in runs of one name.
    if (name === this.latestName) return this.latestNumber
    const number = this.numbers.get(name) ?? this.introduce(name)
    if (number !== undefined) {
      this.latestName = name
      this.latestNumber = number
    }
    return number
  }

  introduce (name) {
    checkName(name)
    // If the table is full, the name is checked and spelled out each time.
    const number = this.core.nameNumber(name) ?? undefined
    if (number !== undefined) this.numbers.set(name, number)
    return number
  }
}

/** Throws 1.x's errors for values that are not names, and an error for a name that would crash 1.x peers. */
function checkName (name) {
  // eslint-disable-next-line no-self-compare -- NaN, as 1.x's "defined".
  if (name === undefined || name === null || name !== name) throw nameRequired()
  if (typeof name !== 'string') Buffer.byteLength(name)
  if (typeof name !== 'string') throw nameNotString(name)
  if (name in Object.prototype) throw reservedName(name)
}

/** Where the next record begins. */
function aligned (end) {
  return (end + EMIT_ALIGNMENT - 1) & -EMIT_ALIGNMENT
}

/** Writes tags after a payload; there must be room. Returns their end. */
function putTags (bytes, tags, at) {
  bytes[at++] = tags.length
  for (const tag of tags) {
    const length = bytes.utf8Write(tag, at + 1)
    bytes[at] = length - 1
    at += 1 + length
  }
  return at
}

/** Bytes that tags take in the event's container: a field each, with a length of one or two bytes. */
function containerLength (tags) {
  return tags === undefined ? 0 : tagsLength(tags) - 1 + 2 * tags.length
}

/**
 * Writes the events of a batch; there must be room. `numbers[place]` is the number of the name at that place of the batch's
 * names. Returns their end.
 */
function putEvents (records, words, events, numbers, ack, at) {
  for (const { place, bytes, mark, tags } of events) {
    const word = at >>> 2
    words[word + EMIT_LENGTH_WORD] = bytes.length
    words[word + EMIT_FLAGS_WORD] = numbers[place] | ack << EMIT_ACK_SHIFT | (tags === undefined ? mark : mark | EMIT_TAGGED) << EMIT_ENCODING_SHIFT
    records.set(bytes, at + EMIT_HEAD_BYTES)
    at += EMIT_HEAD_BYTES + bytes.length
    if (tags !== undefined) at = putTags(records, tags, at)
    at = aligned(at)
  }
  return at
}

/** Writes what a batch demands; there must be room. */
function putDemands (bytes, demands, at) {
  const { id, filter, after } = demands ?? {}
  bytes[at++] = (id === undefined ? 0 : DEMAND_ID) | (filter === undefined ? 0 : DEMAND_CONDITION)
  if (id !== undefined) at = putTags(bytes, [id], at)
  if (filter === undefined) return
  bytes.writeDoubleLE(after, at)
  bytes[at + 8] = filter.items.length
  at += 9
  for (const { names, tags } of filter.items) at = putTags(bytes, tags, putTags(bytes, names, at))
}

/** Bytes that a batch's demands take in the buffer. Infinity if a record cannot hold them. */
function demandsLength (demands) {
  const { id, filter, consumer } = demands ?? {}
  if (consumer !== undefined) return Infinity
  let length = 1
  if (id !== undefined) length += tagsLength([id])
  if (filter === undefined) return length
  length += 9
  if (filter.items.length > MAX_TEXTS) return Infinity
  for (const { names, tags } of filter.items) length += textsLength(names) + textsLength(tags)
  return length
}

function textsLength (texts) {
  if (texts.length > MAX_TEXTS) return Infinity
  let length = 1
  for (const text of texts) {
    const bytes = Buffer.byteLength(text)
    if (bytes === 0 || bytes > MAX_TEXT_LENGTH) return Infinity
    length += 1 + bytes
  }
  return length
}

/** Bytes that tags take in the buffer. */
function tagsLength (tags) {
  if (tags === undefined) return 0
  let length = 1
  for (const tag of tags) length += 1 + Buffer.byteLength(tag)
  return length
}

/** Length of the encoded payload of an event: bytes (of any realm) or text. Throws like 1.x's bytes encoder, and names the event. */
function byteLength (payload, event) {
  if (isUint8Array(payload)) return payload.length
  try {
    return textLength(payload)
  } catch (error) {
    throw valueFault(error, event)
  }
}

function textLength (payload) {
  // eslint-disable-next-line no-self-compare -- NaN.
  if (payload === undefined || payload === null || payload !== payload) throw payloadRequired()
  // For values that are neither text nor bytes, this throws Node's own error.
  const length = Buffer.byteLength(payload)
  if (typeof payload !== 'string') throw payloadNotBytes()
  return length
}

module.exports = { EmitBuffer, byteLength, checkName, containerLength, PLAIN: ASK_PLAIN, NODE: ASK_NODE }
