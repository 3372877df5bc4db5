'use strict'

/** Bytes of one block of memory. A kept view of 10 bytes keeps a whole block in memory, so it is not larger than necessary. */
const SIZE = 64 * 1024

/** If less than this is left, a new block is taken instead of packing only a few events. */
const LEAST = 8 * 1024

/**
 * The memory into which the native half packs acks and events. Users keep views of it (`node.value`, fields of type bytes), so
 * no byte is written twice: packs follow each other, and a full block is left to the garbage collector.
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

  /** Moves on after the pack at `base`, which has this many bytes, a multiple of 8. */
  advance (used) {
    this.base += used
  }
}

module.exports = PackBuffer
