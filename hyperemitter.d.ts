import HyperEmitter = require('./index.js')

export = HyperEmitter
