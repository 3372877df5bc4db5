'use strict'

// Two emitters, each with its own store on disk, connected over TCP: both hear what either of them emits.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const HyperEmitter = require('..')

async function main () {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-example-'))
  const schema = fs.readFileSync(path.join(__dirname, 'example.proto'))
  const one = new HyperEmitter(path.join(folder, 'one'), schema)
  const two = new HyperEmitter(path.join(folder, 'two'), schema)

  const heard = new Promise((resolve) => {
    let left = 4
    for (const [name, emitter] of [['one', one], ['two', two]]) {
      for (const event of ['userAdded', 'userRemoved']) {
        emitter.on(event, (user) => {
          console.log(`${name} hears ${event} of user ${user.id}`)
          if (--left === 0) resolve()
        })
      }
    }
  })

  const { port } = await one.listen(0, '127.0.0.1')
  await two.connect(port, '127.0.0.1')
  await one.append('userAdded', { id: 1, username: 'matteo' })
  await two.append('userRemoved', { id: 2 })
  await heard

  // The digests are equal once each has everything that the other has emitted.
  const equal = await one.digest() === await two.digest()
  console.log(equal ? 'both hold the same events' : 'the two differ')
  await two.close()
  await one.close()
  fs.rmSync(folder, { recursive: true })
}

main()
