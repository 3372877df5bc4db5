'use strict'

// A stream from the beginning returns events that were emitted before anybody listened.

const fs = require('node:fs')
const path = require('node:path')
const HyperEmitter = require('..')

async function main () {
  const schema = fs.readFileSync(path.join(__dirname, 'example.proto'))
  const emitter = new HyperEmitter(':memory:', schema)
  await emitter.append('userAdded', { id: 1, username: 'matteo' })
  await emitter.append('userRemoved', { id: 1 })

  for await (const { name, payload } of emitter.stream({ from: 'beginning' })) {
    console.log(name, payload)
    if (name === 'userRemoved') break
  }
  await emitter.close()
}

main()
