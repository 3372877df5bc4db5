'use strict'

const {
  HEAD_BYTES, COUNT_WORD, DONE_WORD, NEXT_DOUBLE, ROW_BYTES, ROW_CHANGE_DOUBLE, ROW_SEQ_DOUBLE, ROW_TIME_DOUBLE, ROW_NAME_WORD,
  ROW_LOG_WORD, ROW_NAME_LENGTH_WORD, ROW_BODY_LENGTH_WORD, ROW_ENCODING_WORD, ROW_LINKS_WORD, ROW_IDENTITY_WORD,
  ROW_SIGNATURE_WORD, ROW_TAGS_WORD, KEY_LENGTH, NOT_AN_EVENT, UNNUMBERED
} = require('./layout')

/** Rows as the native half packs them (src/js/pack.rs), read one after another. */
class Rows {
  /**
   * @param {object} core the native half, for names and logs seen for the first time
   * @param {{ names: string[], logs: string[] }} tables the known ones, by number
   * @param {Buffer} bytes
   */
  constructor (core, tables, bytes) {
    this.core = core
    this.tables = tables
    this.bytes = bytes
    const { buffer, byteOffset } = bytes
    this.words = new Uint32Array(buffer, byteOffset, bytes.length >>> 2)
    this.doubles = new Float64Array(buffer, byteOffset, bytes.length >>> 3)
    this.left = this.words[COUNT_WORD]
    /** Whether these were the last ones, and the change at which to continue if not. */
    this.done = this.words[DONE_WORD] === 1
    this.next = this.doubles[NEXT_DOUBLE]
    this.double = HEAD_BYTES >>> 3
    this.at = HEAD_BYTES + this.left * ROW_BYTES
  }

  /**
   * Goes to the next row.
   *
   * @returns {boolean} false after the last one
   */
  advance () {
    if (this.left === 0) return false
    this.left--
    const { double, words } = this
    const word = double << 1
    this.double += ROW_BYTES >>> 3
    this.head = double
    this.keyAt = this.at
    this.links = words[word + ROW_LINKS_WORD]
    const spelled = words[word + ROW_NAME_LENGTH_WORD]
    this.isEvent = spelled !== NOT_AN_EVENT
    this.nameAt = this.keyAt + KEY_LENGTH * (1 + this.links)
    this.nameLength = this.isEvent ? spelled : 0
    this.start = this.nameAt + this.nameLength
    this.end = this.start + words[word + ROW_BODY_LENGTH_WORD]
    this.identityLength = words[word + ROW_IDENTITY_WORD]
    this.signatureLength = words[word + ROW_SIGNATURE_WORD]
    this.tagsAt = this.end + Math.max(0, this.identityLength - 1) + Math.max(0, this.signatureLength - 1)
    this.at = this.tagsAt + words[word + ROW_TAGS_WORD]
    return true
  }

  get change () {
    return this.doubles[this.head + ROW_CHANGE_DOUBLE]
  }

  get seq () {
    return this.doubles[this.head + ROW_SEQ_DOUBLE]
  }

  /** Milliseconds since 1970; undefined on events of 1.x. */
  get time () {
    const time = this.doubles[this.head + ROW_TIME_DOUBLE]
    return Number.isNaN(time) ? undefined : time
  }

  get encoding () {
    return this.words[(this.head << 1) + ROW_ENCODING_WORD]
  }

  /** The event's name; undefined if the value is no event. */
  get name () {
    if (!this.isEvent) return undefined
    const number = this.words[(this.head << 1) + ROW_NAME_WORD]
    if (number === UNNUMBERED) return this.bytes.utf8Slice(this.nameAt, this.nameAt + this.nameLength)
    return (this.tables.names[number] ??= this.core.nameText(number))
  }

  get log () {
    const number = this.words[(this.head << 1) + ROW_LOG_WORD]
    return (this.tables.logs[number] ??= this.core.logText(number))
  }

  get key () {
    return this.bytes.latin1Slice(this.keyAt, this.keyAt + KEY_LENGTH)
  }

  /** Keys of the causes. */
  get causes () {
    const causes = []
    for (let i = 1; i <= this.links; i++) {
      const at = this.keyAt + i * KEY_LENGTH
      causes.push(this.bytes.latin1Slice(at, at + KEY_LENGTH))
    }
    return causes
  }

  /** The event's tags. */
  get tags () {
    const tags = []
    for (let at = this.tagsAt; at < this.at;) {
      const end = at + 2 + this.bytes[at]
      tags.push(this.bytes.utf8Slice(at + 1, end))
      at = end
    }
    return tags
  }

  /** The payload, or the whole value if that was requested. */
  get body () {
    return this.bytes.subarray(this.start, this.end)
  }

  /** The row as a node of 1.x's hyperlog; its body must be the whole value. */
  node () {
    const signatureAt = this.end + Math.max(0, this.identityLength - 1)
    return {
      change: this.change,
      key: this.key,
      log: this.log,
      seq: this.seq,
      identity: this.identityLength === 0 ? null : this.bytes.subarray(this.end, signatureAt),
      signature: this.signatureLength === 0 ? null : this.bytes.subarray(signatureAt, signatureAt + this.signatureLength - 1),
      value: this.body,
      links: this.causes
    }
  }
}

module.exports = Rows
