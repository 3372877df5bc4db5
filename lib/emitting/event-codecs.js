'use strict'

const { fast, codecFor, marks } = require('../codec')
const { notAMessage, unknownEncoding } = require('../errors')

/** The codecs of an emitter's events, by name. */
class EventCodecs {
  /**
   * @param {{ codecs: object }} emitter its `codecs` are read each time, because users may replace them
   * @param {boolean} refusesText whether text is refused as the payload of an event that is not in the schema
   */
  constructor (emitter, refusesText) {
    this.emitter = emitter
    this.refusesText = refusesText
    /** What events were last encoded with, by name. */
    this.encoders = new Map()
    /** Called with `(name, codec)` when an event's codec changes. */
    this.onUse = () => {}
  }

  /** All codecs, as the user sees them. */
  get all () {
    return this.emitter.codecs
  }

  /** The codec registered for a name. Only own properties count. */
  of (name) {
    const { codecs } = this.emitter
    const found = codecs[name]
    return found && Object.hasOwn(codecs, name) ? found : undefined
  }

  /**
   * As {@link of}, for an event that is emitted.
   *
   * @throws if the name is that of an enum, which the schema's messages contain, too
   */
  encoder (name) {
    const found = this.emitter.codecs[name]
    if (found !== undefined && this.encoders.get(name) === found) return found
    const own = this.of(name)
    if (own !== undefined) {
      if (typeof own.encode !== 'function') throw notAMessage(name)
      this.encoders.set(name, own)
      this.onUse(name, own)
    }
    return own
  }

  /**
   * The payload in `[start, end)`: decoded, or its bytes if there is no codec.
   *
   * @param {string} name the event's
   * @param {Buffer} bytes
   * @param {number} start
   * @param {number} end
   * @param {number} mark how it is encoded (lib/codec/marks.js)
   * @throws whatever the codec throws
   */
  decode (name, bytes, start, end, mark) {
    const decoder = this.of(name)
    if (decoder === undefined) return bytes.subarray(start, end)
    let pair = fast(decoder)
    if (pair === null) return decoder.decode(bytes.subarray(start, end))
    if (pair.encoding !== mark && pair.alias !== mark) {
      if (mark > marks.LAST) throw unknownEncoding(mark)
      pair = fast(codecFor(decoder, mark))
    }
    return pair.read(bytes, start, end)
  }
}

module.exports = EventCodecs
