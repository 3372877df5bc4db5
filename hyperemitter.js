'use strict'

// The path that 1.x's examples and tests require.
module.exports = require('./index.js')
