'use strict'

const HyperEmitter = require('./lib/emitter')

/** The messages of a schema, without an emitter. */
HyperEmitter.compile = require('./lib/codec').compile

module.exports = HyperEmitter
