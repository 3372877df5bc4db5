'use strict'

/** Bytes of one block of memory. What a kept 10-byte view can pin, so no larger than pays off. */
const SIZE = 64 * 1024

/** Less than this left: take a new block rather than pack a handful. */
const LEAST = 8 * 1024

/**
 * Where the native half packs acks and events. Users keep views of it (`node.value`, fields of type bytes), so no byte is
 * written twice: packs lie one behind another, and a full block is left to the garbage collector.
 */
class PackBuffer {
  constructor () {
    /** Where the next pack goes. */
    this.base = 0
    this.replace(SIZE)
  }

  replace (size) {
    // Not pooled: the typed arrays below must start at its first byte.
    this.bytes = Buffer.allocUnsafeSlow(size)
    this.buffer = this.bytes.buffer
    this.words = new Uint32Array(this.buffer)
    this.doubles = new Float64Array(this.buffer)
    this.base = 0
  }

  /** Makes room for one more pack; at least `need` bytes of it. */
  prepare (need = LEAST) {
    if (this.bytes.length - this.base < need) this.replace(Math.max(SIZE, Math.ceil(need / 8) * 8))
  }

  /** The pack at `base` has been filled with this many bytes, a multiple of 8. */
  advance (used) {
    this.base += used
  }
}

module.exports = PackBuffer
