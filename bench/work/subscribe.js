'use strict'

// A subscription with a trivial handler goes through a store on disk; for comparison a loop of `read` with the same events.

const { open, event, options, done, now, folder } = require('../lib/modules')

const { count = 300000, mode = 'subscribe', every } = options()

async function main () {
  const emitter = open('ours', folder())
  for (let sent = 1; sent <= count; sent++) {
    if (sent % 1024 === 0) await emitter.append('userAdded', event)
    else emitter.emit('userAdded', event)
  }
  await emitter.append('userAdded', event)
  const { change } = await emitter.stats()
  let handled = 0
  const started = now()
  if (mode === 'read') {
    for await (const { payload } of emitter.read()) handled += payload.id.length > 0 ? 1 : 0
  } else {
    const subscription = emitter.subscribe('bench', {}, async ({ payload }) => { handled += payload.id.length > 0 ? 1 : 0 }, { checkpoint: { every } })
    await subscription.caughtUp()
    // Stores the position.
    await subscription.stop()
  }
  const ms = now() - started
  if (handled !== change) throw new Error(`${handled} of ${change} events`)
  await emitter.close()
  done({ rate: handled / ms * 1000 })
}
main()
