'use strict'

/** A cursor over standard protobuf that never leaves the message it is in. */
class Reader {
  constructor (buffer, start, end) {
    this.buffer = buffer
    this.position = start
    this.end = end
  }

  /** Moves past `size` bytes and returns where they start. */
  take (size) {
    const start = this.position
    if (!(start + size <= this.end)) throw new RangeError('Decoded message is not valid: a field ends beyond the message')
    this.position = start + size
    return start
  }

  /** A varint as `{ low, high }`, two unsigned 32-bit halves. */
  varint () {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.end) throw new RangeError('Could not decode varint')
      const byte = this.buffer[this.position++]
      if (shift < 28) low |= (byte & 127) << shift
      else if (shift === 28) {
        low |= (byte & 127) << 28
        high = (byte & 127) >>> 4
      } else high |= (byte & 127) << (shift - 32)
      if (byte < 128) return { low: low >>> 0, high: high >>> 0 }
    }
    throw new RangeError('Could not decode varint')
  }

  header () {
    const { low, high } = this.varint()
    const tag = low >>> 3
    if (high !== 0 || tag === 0) throw new RangeError('Decoded message is not valid: a field has tag 0, or one beyond 2^29')
    return { tag, wire: low & 7 }
  }

  length () {
    const { low, high } = this.varint()
    return high * 4294967296 + low
  }

  /** Enters a length-delimited field; `close` leaves it. */
  open () {
    const length = this.length()
    const outer = this.end
    if (!(this.position + length <= outer)) throw new RangeError('Decoded message is not valid: a field ends beyond the message')
    this.end = this.position + length
    return outer
  }

  close (outer) {
    this.position = this.end
    this.end = outer
  }

  /** Moves past an unknown field, groups included. */
  skip (tag, wire, depth) {
    switch (wire) {
      case 0:
        this.varint()
        return
      case 1:
        this.take(8)
        return
      case 2:
        this.take(this.length())
        return
      case 3:
        this.skipGroup(tag, depth - 1)
        return
      case 5:
        this.take(4)
        return
    }
    throw new RangeError(`Decoded message is not valid: wire type ${wire} is out of place`)
  }

  skipGroup (group, depth) {
    if (depth <= 0) throw new RangeError('groups are nested too deeply')
    for (;;) {
      const { tag, wire } = this.header()
      if (wire === 4) {
        if (tag !== group) throw new RangeError('Decoded message is not valid: groups overlap')
        return
      }
      this.skip(tag, wire, depth)
    }
  }
}

module.exports = { Reader }
