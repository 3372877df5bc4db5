'use strict'

// Two processes, each with an emitter on its own store on disk. They exchange events; one of them is killed in the middle,
// misses some, starts again and catches up. In the end both stores hold the same.
//
//   node examples/crash.js

const { fork } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const HyperEmitter = require('..')

const schema = `
  message userAdded { required int32 id = 1; required string username = 2; }
  message userRemoved { required int32 id = 1; }
`

/** What both do: say what they hear. */
function open (name, folder) {
  const emitter = new HyperEmitter(path.join(folder, name), schema)
  for (const event of ['userAdded', 'userRemoved']) {
    emitter.on(event, (payload) => console.log(`${name} heard ${event}`, payload))
  }
  return emitter
}

/** The second process: connects, and does what its parent tells it. */
async function two (folder, port) {
  const emitter = open('two', folder)
  await emitter.connect(port, '127.0.0.1')
  process.on('message', async ({ remove, until, end }) => {
    if (remove) await emitter.append('userRemoved', { id: remove })
    if (until) await sameAs(emitter, until)
    if (end) await emitter.close()
    process.send('done')
    if (end) process.disconnect()
  })
  process.send('done')
}

/** Waits until the emitter holds the same as the one with this digest. */
async function sameAs (emitter, digest) {
  for await (const entry of emitter.read({ live: true })) {
    if (entry.change > 0 && await emitter.digest() === digest) return
  }
}

function start (folder, port) {
  return fork(__filename, ['two', folder, port])
}

async function tell (child, message) {
  child.send(message)
  await once(child, 'message')
}

async function main () {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-example-'))
  console.log('stores in', folder)
  const one = open('one', folder)
  const { port } = await one.listen(0, '127.0.0.1')

  console.log('\n# two connects, and both emit')
  let child = start(folder, port)
  await once(child, 'message')
  const removed = once(one, 'userRemoved')
  await one.append('userAdded', { id: 1, username: 'ada' })
  await one.append('userAdded', { id: 2, username: 'grace' })
  await tell(child, { until: await one.digest() })
  await tell(child, { remove: 1 })
  await removed

  console.log('\n# two is killed; one goes on')
  child.kill('SIGKILL')
  await once(child, 'exit')
  for (let id = 3; id <= 5; id++) await one.append('userAdded', { id, username: `user ${id}` })

  console.log('\n# two starts again on its store, and hears what it missed')
  child = start(folder, port)
  await once(child, 'message')
  await tell(child, { until: await one.digest() })
  await tell(child, { end: true })
  await one.close()

  console.log('\n# what is in both stores')
  const digests = []
  for (const name of ['one', 'two']) {
    const emitter = new HyperEmitter(path.join(folder, name), schema)
    const names = []
    for await (const entry of emitter.read({ names: ['userAdded', 'userRemoved'] })) names.push(entry.name)
    digests.push(await emitter.digest())
    console.log(name, 'holds', names.length, 'events, digest', digests.at(-1).slice(0, 16))
    await emitter.close()
  }
  fs.rmSync(folder, { recursive: true })
  if (digests[0] !== digests[1]) throw new Error('the stores differ')
}

const [role, folder, port] = process.argv.slice(2)
if (role === 'two') two(folder, Number(port))
else main()
