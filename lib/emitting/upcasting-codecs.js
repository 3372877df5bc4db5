'use strict'

const EventCodecs = require('./event-codecs')
const { upcastNotFunctions, upcastToNothing } = require('../errors')

/** Codecs whose decoded payloads go through the functions of the option `upcast`: events of an old form are heard and read in the new one. */
class UpcastingCodecs extends EventCodecs {
  /**
   * @param {{ codecs: object }} emitter
   * @param {boolean} refusesText
   * @param {object} upcast event name to function of the payload, and of the event's name and change
   */
  constructor (emitter, refusesText, upcast) {
    super(emitter, refusesText)
    if (upcast === null || typeof upcast !== 'object') throw upcastNotFunctions()
    this.upcasters = new Map(Object.entries(upcast))
    for (const each of this.upcasters.values()) if (typeof each !== 'function') throw upcastNotFunctions()
  }

  decode (name, bytes, start, end, mark, change) {
    const payload = super.decode(name, bytes, start, end, mark)
    const upcast = this.upcasters.get(name)
    // Bytes that nobody has decoded stay bytes.
    if (upcast === undefined || this.of(name) === undefined) return payload
    const result = upcast(payload, { name, change })
    if (result === undefined) throw upcastToNothing(name)
    return result
  }
}

module.exports = UpcastingCodecs
