'use strict'

const { Writable } = require('node:stream')

const { changesAreReadOnly } = require('../errors')

/**
 * `emitter.changes`: where events for listeners arrive. As in 1.x destroying it ends delivery for good; the log, peers and
 * streams go on.
 *
 * @param {import('./dispatcher')} dispatcher
 */
function changeStream (dispatcher) {
  return new Writable({
    objectMode: true,
    /** Nodes come from the log alone. */
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
