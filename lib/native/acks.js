'use strict'

const { failure } = require('../errors')
const {
  HEAD_BYTES, COUNT_WORD, KEYS_WORD, USED_WORD, NEED_WORD, ACK_BYTES, ACK_CHANGE_DOUBLE, ACK_SEQ_DOUBLE, ACK_KIND_WORD,
  ACK_LINKS_WORD, ACK_VALUE_LENGTH_WORD, ACK_LOG_WORD, ACK_NODE, ACK_NEXT_NODE, ACK_RUN, KEY_LENGTH
} = require('./layout')

/** Keys that are cut from one string. A key that is kept keeps the whole string in memory, so the string is at most 4 KB. */
const KEYS_PER_STRING = 64

/** How many answered entries may be at the front of the queue before they are cut off. */
const SLACK = 1024

/**
 * Emits that wait for their acknowledgement, and their callbacks.
 *
 * Acks arrive in emit order, so the callbacks form a queue. Their `node` is like 1.x's: a complete, plain object that stays
 * valid as long as the user keeps it.
 */
class Acks {
  /**
   * @param {object} core the native half
   * @param {import('./pack-buffer')} packBuffer
   * @param {import('../status')} status gets failures of emits without a callback
   */
  constructor (core, packBuffer, status) {
    this.core = core
    this.packBuffer = packBuffer
    this.status = status
    /**
     * In emit order: the receiver of the answer (lib/async-context.js), or the number of consecutive emits without a receiver.
     */
    this.waiting = []
    this.head = 0
    /** Emits not yet answered, and callbacks that got an error. */
    this.pending = 0
    this.refused = 0
    /** Emits answered so far, and the callbacks that wait for some of them. */
    this.answered = 0
    this.barriers = []
    this.logs = []
    this.lastKey = ''
    /** Change of the event whose callback runs now; 0 otherwise. */
    this.current = 0
    /**
     * Unpacked answers (nodes, errors, and numbers of emits that asked for no node), of which those before `next` have been
     * handled. Some remain if a callback throws.
     */
    this.unpacked = []
    this.next = 0
  }

  /** Whether emits wait for their acknowledgement. */
  get busy () {
    return this.pending > 0
  }

  /** Adds an emit. If there is a receiver, `receiver.answer(error, node)` is called once. */
  expect (receiver) {
    this.pending++
    if (receiver !== undefined) {
      this.waiting.push(receiver)
      return
    }
    const last = this.waiting.length - 1
    if (typeof this.waiting[last] === 'number') this.waiting[last]++
    else this.waiting.push(1)
  }

  /**
   * Calls back once every emit made so far has been answered, with the number of stored ones; immediately if all have been
   * answered.
   */
  settle (settled) {
    if (this.pending === 0) settled(0)
    else this.barriers.push({ at: this.answered + this.pending, stored: this.pending, settled })
  }

  /**
   * Takes one pack of acks and runs its callbacks. If a callback throws, the next call continues after it.
   *
   * @returns {number} what else waits (MORE_…)
   */
  take () {
    this.run()
    const { packBuffer, core } = this
    packBuffer.prepare()
    let more = core.takeAcks(packBuffer.bytes, packBuffer.base)
    const need = packBuffer.words[(packBuffer.base >>> 2) + NEED_WORD]
    if (need > 0) {
      packBuffer.replace(need)
      more = core.takeAcks(packBuffer.bytes, 0)
    }
    this.unpack()
    this.run()
    return more
  }

  unpack () {
    const { bytes, buffer, words, doubles, base } = this.packBuffer
    const head = base >>> 2
    const count = words[head + COUNT_WORD]
    if (count === 0) return
    const keys = words[head + KEYS_WORD]
    const used = words[head + USED_WORD]
    const keysAt = base + HEAD_BYTES + count * ACK_BYTES
    let linkAt = keysAt + keys * KEY_LENGTH
    let valueAt = this.valuesAt(count, linkAt)
    let text = ''
    let key = 0
    for (let i = 0; i < count; i++) {
      const double = (base + HEAD_BYTES + i * ACK_BYTES) >>> 3
      const word = double << 1
      const kind = words[word + ACK_KIND_WORD]
      if (kind === ACK_NEXT_NODE || kind === ACK_NODE) {
        const within = key % KEYS_PER_STRING
        if (within === 0) {
          const from = keysAt + key * KEY_LENGTH
          text = bytes.latin1Slice(from, from + Math.min(KEYS_PER_STRING, keys - key) * KEY_LENGTH)
        }
        key++
        const own = keys === 1 ? text : text.substring(within * KEY_LENGTH, (within + 1) * KEY_LENGTH)
        let links
        if (kind === ACK_NEXT_NODE) {
          links = [this.lastKey]
        } else {
          links = []
          for (let n = words[word + ACK_LINKS_WORD]; n > 0; n--, linkAt += KEY_LENGTH) {
            links.push(bytes.latin1Slice(linkAt, linkAt + KEY_LENGTH))
          }
        }
        const length = words[word + ACK_VALUE_LENGTH_WORD]
        this.unpacked.push({
          log: this.log(words[word + ACK_LOG_WORD]),
          key: own,
          identity: null,
          signature: null,
          value: Buffer.from(buffer, valueAt, length),
          links,
          seq: doubles[double + ACK_SEQ_DOUBLE],
          change: doubles[double + ACK_CHANGE_DOUBLE]
        })
        valueAt += length
        this.lastKey = own
      } else if (kind === ACK_RUN) {
        this.unpacked.push(doubles[double + ACK_SEQ_DOUBLE])
      } else {
        const length = words[word + ACK_VALUE_LENGTH_WORD]
        const described = JSON.parse(bytes.utf8Slice(valueAt, valueAt + length))
        valueAt += length
        this.unpacked.push(failure(described))
      }
    }
    this.packBuffer.advance(used)
  }

  /** The position of the values, which follow the links of all nodes. */
  valuesAt (count, linksAt) {
    const { words, base } = this.packBuffer
    let links = 0
    for (let i = 0; i < count; i++) {
      const word = (base + HEAD_BYTES + i * ACK_BYTES) >>> 2
      if (words[word + ACK_KIND_WORD] === ACK_NODE) links += words[word + ACK_LINKS_WORD]
    }
    return linksAt + links * KEY_LENGTH
  }

  log (number) {
    return this.logs[number] ?? (this.logs[number] = this.core.logText(number))
  }

  run () {
    const { unpacked } = this
    try {
      while (this.next < unpacked.length) {
        const answer = unpacked[this.next++]
        if (typeof answer === 'number') {
          this.shift(answer)
          continue
        }
        const receiver = this.shift(1)
        if (answer instanceof Error) {
          for (const barrier of this.barriers) if (this.answered <= barrier.at) barrier.stored--
          if (receiver === undefined) {
            this.status.warn(answer)
          } else {
            this.refused++
            receiver.answer(answer)
          }
        } else {
          this.current = answer.change
          receiver.answer(null, answer)
        }
      }
      this.unpacked = []
      this.next = 0
      while (this.barriers.length > 0 && this.barriers[0].at <= this.answered) {
        const { stored, settled } = this.barriers.shift()
        settled(stored)
      }
    } finally {
      this.current = 0
    }
  }

  /** Removes `count` emits without a receiver, or one with a receiver, from the queue. */
  shift (count) {
    this.pending -= count
    this.answered += count
    const first = this.waiting[this.head]
    if (typeof first === 'number') {
      if (first > count) this.waiting[this.head] = first - count
      else this.drop()
      return undefined
    }
    this.drop()
    return first
  }

  drop () {
    this.waiting[this.head++] = undefined
    if (this.head === this.waiting.length) {
      this.waiting.length = 0
      this.head = 0
    } else if (this.head >= SLACK && this.head * 2 > this.waiting.length) {
      this.waiting = this.waiting.slice(this.head)
      this.head = 0
    }
  }
}

module.exports = Acks
