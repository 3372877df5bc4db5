'use strict'

// A listener with a second parameter answers when it is done; until then no further event is delivered to anyone.

const fs = require('node:fs')
const path = require('node:path')
const HyperEmitter = require('..')

const schema = fs.readFileSync(path.join(__dirname, 'example.proto'))
const emitter = new HyperEmitter(':memory:', schema)

emitter.on('userAdded', (user, done) => {
  console.log('begin', user.id)
  setTimeout(() => {
    console.log('end', user.id)
    done()
  }, 10)
})
emitter.on('userRemoved', (user) => {
  console.log('removed', user.id)
  emitter.close()
})

emitter.emit('userAdded', { id: 1, username: 'matteo' })
emitter.emit('userRemoved', { id: 1 })
