'use strict'

const EventCodecs = require('./event-codecs')
const { upcastNotFunctions, upcastToNothing } = require('../errors')

/**
 * Codecs that pass decoded payloads through the functions of the option `upcast`, so that listeners and readers get events of
 * an old form in the new form.
 */
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
    // Payloads without a codec stay bytes.
    if (upcast === undefined || this.of(name) === undefined) return payload
    const result = upcast(payload, { name, change })
    if (result === undefined) throw upcastToNothing(name)
    return result
  }
}

module.exports = UpcastingCodecs
