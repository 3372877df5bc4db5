'use strict'

// Two processes replicate; one is restarted. It continues where it stopped, and receives what it missed.
//
// This file plays all parts: without arguments it starts the others.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { fork } = require('node:child_process')
const { once } = require('node:events')
const HyperEmitter = require('..')

const schema = fs.readFileSync(path.join(__dirname, 'example.proto'))

/** Listens, and emits a user whenever it is told to. */
async function server (store) {
  const emitter = new HyperEmitter(store, schema)
  const { port } = await emitter.listen(0, '127.0.0.1')
  process.on('message', async (id) => {
    await emitter.append('userAdded', { id, username: `user ${id}` })
  })
  process.on('disconnect', () => emitter.close())
  process.send(port)
}

/** Prints the users that it hears of. It needs the port only once: known peers are dialled again automatically. */
async function client (store, port) {
  const emitter = new HyperEmitter(store, schema)
  emitter.on('userAdded', (user) => process.send(user.id))
  process.on('disconnect', () => emitter.close())
  if (!port) return
  await emitter.connect(port, '127.0.0.1')
  process.send('connected')
}

async function main () {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-example-'))
  const start = (...args) => fork(__filename, args)
  const hears = async (child, id) => {
    const [heard] = await once(child, 'message')
    console.log(`the client hears of user ${heard}`)
    if (heard !== id) throw new Error(`expected ${id}`)
  }

  const one = start('server', path.join(folder, 'one'))
  const [port] = await once(one, 'message')
  const two = start('client', path.join(folder, 'two'), String(port))
  await once(two, 'message')
  one.send(1)
  await hears(two, 1)

  two.disconnect()
  await once(two, 'exit')
  console.log('the client is gone; user 2 is added')
  one.send(2)

  const again = start('client', path.join(folder, 'two'))
  await hears(again, 2)
  one.send(3)
  await hears(again, 3)

  again.disconnect()
  one.disconnect()
  await Promise.all([once(again, 'exit'), once(one, 'exit')])
  fs.rmSync(folder, { recursive: true })
}

const [part, store, port] = process.argv.slice(2)
if (part === 'server') server(store)
else if (part === 'client') client(store, port)
else main()
