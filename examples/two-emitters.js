'use strict'

// Two emitters, each with a store of its own on disk, connected over TCP: what one emits, both hear.

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

  // Both have what the other emitted, and each announced nothing but itself.
  const equal = await one.digest() === await two.digest()
  console.log(equal ? 'both hold the same events' : 'the two differ')
  await two.close()
  await one.close()
  fs.rmSync(folder, { recursive: true })
}

main()
