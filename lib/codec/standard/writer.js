'use strict'

const { Fault } = require('../shared/faults')

/** Initial size of a writer's buffer, which doubles when it is full. */
const INITIAL = 256

/** A growing buffer of standard protobuf. */
class Writer {
  constructor () {
    this.buffer = Buffer.allocUnsafe(INITIAL)
    this.position = 0
  }

  /** Makes room for `size` bytes and returns where they start. */
  reserve (size) {
    const start = this.position
    if (start + size > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, start + size))
      this.buffer.copy(larger, 0, 0, start)
      this.buffer = larger
    }
    this.position = start + size
    return start
  }

  byte (value) {
    // `reserve` may replace the buffer.
    const at = this.reserve(1)
    this.buffer[at] = value
  }

  /** A varint of an integer from 0 to 2^53. */
  varint (value) {
    while (value > 127) {
      this.byte((value % 128) | 128)
      value = Math.floor(value / 128)
    }
    this.byte(value)
  }

  /** A varint of a BigInt from 0 to 2^64 - 1. */
  bigVarint (value) {
    while (value > 127n) {
      this.byte(Number(value & 127n) | 128)
      value >>= 7n
    }
    this.byte(Number(value))
  }

  header (tag, wire) {
    this.varint(tag * 8 + wire)
  }

  text (value) {
    const size = Buffer.byteLength(value)
    this.varint(size)
    const at = this.reserve(size)
    this.buffer.utf8Write(value, at, size)
  }

  bytes (value) {
    this.varint(value.length)
    const at = this.reserve(value.length)
    this.buffer.set(value, at)
  }

  /** Starts a length-delimited field; returns what `close` needs. */
  open () {
    return this.reserve(1)
  }

  close (start) {
    const length = this.position - start - 1
    if (length < 128) {
      this.buffer[start] = length
      return
    }
    const body = Buffer.from(this.buffer.subarray(start + 1, this.position))
    this.position = start
    this.bytes(body)
  }

  finish () {
    if (this.position > 0x7fffffff) throw new Fault('a message cannot exceed 2 GiB')
    return Buffer.from(this.buffer.subarray(0, this.position))
  }
}

module.exports = { Writer }
