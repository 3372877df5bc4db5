'use strict'

module.exports = require('./lib/emitter')
