'use strict'

const { Writable } = require('node:stream')

const { changesAreReadOnly } = require('../errors')

/**
 * `emitter.changes`, 1.x's stream of events for listeners. As in 1.x, destroying it ends delivery for good; the log, peers and
 * streams continue.
 *
 * @param {import('./dispatcher')} dispatcher
 */
function changeStream (dispatcher) {
  return new Writable({
    objectMode: true,
    /** Nodes come only from the log, so writes are refused. */
    write (_node, _encoding, done) {
      done(changesAreReadOnly())
    },
    destroy (error, done) {
      dispatcher.stop()
      done(error)
    }
  })
}

module.exports = changeStream
