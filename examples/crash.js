'use strict'

// Two processes, each with an emitter on its own store on disk. They exchange events; one of them is killed in the middle,
// misses some, starts again and catches up. In the end both stores hold the same.
//
//   node examples/crash.js

const { fork } = require('node:child_process')
const { EventEmitter, once } = require('node:events')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const HyperEmitter = require('..')

const schema = `
  message userAdded { required int32 id = 1; required string username = 2; }
  message userRemoved { required int32 id = 1; }
`

/** Opens an emitter that prints what it hears. `hears(count)` resolves when it has heard this many events since the start. */
function open (name, folder) {
  const emitter = new HyperEmitter(path.join(folder, name), schema)
  const heard = Object.assign(new EventEmitter(), { count: 0 })
  for (const event of ['userAdded', 'userRemoved']) {
    emitter.on(event, (payload) => {
      console.log(`${name} heard ${event}`, payload)
      heard.count++
      heard.emit('event')
    })
  }
  const hears = async (wanted) => {
    while (heard.count < wanted) await once(heard, 'event')
  }
  return { emitter, hears }
}

/** The second process: connects, and follows its parent's commands. */
async function two (folder, port) {
  const { emitter, hears } = open('two', folder)
  await emitter.connect(port, '127.0.0.1')
  process.on('message', async ({ remove, wait, end }) => {
    if (remove) await emitter.append('userRemoved', { id: remove })
    if (wait) await hears(wait)
    if (end) await emitter.close()
    process.send('done')
    if (end) process.disconnect()
  })
  process.send('done')
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
  const { emitter: one, hears } = open('one', folder)
  const { port } = await one.listen(0, '127.0.0.1')

  console.log('\n# two connects, and both emit')
  let child = start(folder, port)
  await once(child, 'message')
  await one.append('userAdded', { id: 1, username: 'ada' })
  await one.append('userAdded', { id: 2, username: 'grace' })
  await tell(child, { wait: 2 })
  await tell(child, { remove: 1, wait: 3 })
  await hears(3)

  console.log('\n# two is killed; one goes on')
  child.kill('SIGKILL')
  await once(child, 'exit')
  for (let id = 3; id <= 5; id++) await one.append('userAdded', { id, username: `user ${id}` })
  await hears(6)

  console.log('\n# two starts again on its store, and hears what it missed')
  child = start(folder, port)
  await once(child, 'message')
  await tell(child, { wait: 3 })
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
