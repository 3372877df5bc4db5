'use strict'

// One emitter in memory, two kinds of events, a listener for each.

const fs = require('node:fs')
const path = require('node:path')
const HyperEmitter = require('..')

const schema = fs.readFileSync(path.join(__dirname, 'example.proto'))
const emitter = new HyperEmitter(':memory:', schema)

emitter.on('userAdded', (user) => console.log('added', user))
emitter.on('userRemoved', (user) => {
  console.log('removed', user)
  emitter.close()
})

emitter.emit('userAdded', { id: 1, username: 'matteo' })
emitter.emit('userRemoved', { id: 1 })
