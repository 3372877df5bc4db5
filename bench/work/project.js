'use strict'

// A projection with `keys` keys is derived from a store on disk; then the store is opened again with the projection up to date.
// For comparison, a loop of `read` with the same events and the same states in a Map.

const path = require('node:path')
const { open, event, options, done, now, folder } = require('../lib/modules')

const { count = 300000, keys = 10000, mode = 'project' } = options()

const db = path.join(folder(), 'db')
const definition = {
  init: 0,
  key: ({ change }) => change % keys,
  on: { userAdded: (sum, { id }) => sum + id.length }
}

async function main () {
  let emitter = open('ours', db)
  for (let sent = 1; sent <= count; sent++) {
    if (sent % 1024 === 0) await emitter.append('userAdded', event)
    else emitter.emit('userAdded', event)
  }
  await emitter.append('userAdded', event)
  const { change } = await emitter.stats()
  const started = now()
  if (mode === 'read') {
    const sums = new Map()
    for await (const entry of emitter.read({ names: ['userAdded'] })) {
      const key = String(definition.key(entry))
      sums.set(key, definition.on.userAdded(sums.get(key) ?? 0, entry.payload))
    }
    const rate = change / (now() - started) * 1000
    await emitter.close()
    return done({ rate })
  }
  const projection = emitter.project('bench', definition)
  await projection.caughtUp()
  // Stores what has changed.
  await projection.stop()
  const rate = change / (now() - started) * 1000
  await emitter.close()

  const reopened = now()
  emitter = open('ours', db)
  const again = emitter.project('bench', { ...definition, on: { userAdded () { throw new Error('it was derived again') } } })
  await again.caughtUp()
  if (await again.get(7) !== await again.get(8)) throw new Error('the states differ')
  const openMs = now() - reopened
  await emitter.close()
  done({ rate, openMs })
}
main()
