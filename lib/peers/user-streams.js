'use strict'

const native = require('../native/addon')
const { closed, notADuplex, readOnly, streamEnded } = require('../errors')
const { promised } = require('../callback')
const { checkRight } = require('../trust/rights')
const { isDuplex } = require('./streams')

/** Links over streams that a user brings: `handle(duplex)`. */
class UserStreams {
  /**
   * @param {object} parts
   * @param {import('./streams').Streams} parts.streams
   * @param {import('./connections')} parts.connections
   * @param {import('../emitting/schema-record')} parts.schemaRecord
   * @param {import('../lifecycle/store-state')} parts.state
   */
  constructor ({ streams, connections, schemaRecord, state }) {
    this.streams = streams
    this.connections = connections
    this.schemaRecord = schemaRecord
    this.state = state
  }

  /**
   * Replicates over a stream. Calls back with the peer, as `status` reports it, once the link is established.
   *
   * @param {import('node:stream').Duplex} duplex
   * @param {object} [how] `dialled`: whether this side counts as the dialler (exactly one side must); `key`: the peer's; `can`:
   *   the right of a peer that the caller has authenticated
   * @param {(error: Error | null, peer?: object) => void} [callback]
   */
  handle (duplex, how = {}, callback) {
    if (!isDuplex(duplex)) throw notADuplex(duplex)
    const { dialled = false, key, can } = how
    if (key !== undefined) native.checkPublicKey(key)
    if (can !== undefined) checkRight(can, 'can')
    return promised(callback, (done) => {
      if (this.state.closing || this.state.readOnly) {
        process.nextTick(done, this.state.closing ? closed() : readOnly())
        return
      }
      this.schemaRecord.tell()
      const remote = { address: duplex.remoteAddress, port: duplex.remotePort }
      const native = { dialled, key, right: can, security: 'stream', remote: remote.address === undefined ? undefined : remote }
      this.streams.carry(duplex, native, (link) => {
        if (link === undefined) done(streamEnded())
        else this.connections.whenStanding(link, done)
      })
    })
  }
}

module.exports = UserStreams
