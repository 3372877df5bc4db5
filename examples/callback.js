'use strict'

// The callback of an emit runs when the event is stored, before any listener gets the event: a listener that is added in the
// callback still gets it.

const fs = require('node:fs')
const path = require('node:path')
const HyperEmitter = require('..')

const schema = fs.readFileSync(path.join(__dirname, 'example.proto'))
const emitter = new HyperEmitter(':memory:', schema)

emitter.emit('userAdded', { id: 1, username: 'matteo' }, (err, node) => {
  if (err) throw err
  console.log('stored as change', node.change)
  emitter.on('userAdded', (user) => {
    console.log('heard', user.username)
    emitter.close()
  })
})
