'use strict'

// emit + callback + one listener, with `window` emits in flight. An event is done when both the callback and the listener have
// run. The callback reads node.key and node.change.

const { open, event, sized, options, done, now, folder, identity } = require('../lib/modules')

const { which = 'ours', store = 'memory', window = 1024, ms = 3000, bytes = 0, sealed = false } = options()
const emitter = open(which, store === 'path' ? folder() : store, undefined, sealed ? identity() : undefined)
const message = bytes ? sized(bytes) : event

let emitted = 0
let acked = 0
let heard = 0
let stop = false
let mark = null
let checksum = 0

function more () {
  if (stop) return
  while (emitted - Math.min(acked, heard) < window) {
    emitted++
    emitter.emit('userAdded', message, (err, node) => {
      if (err) throw err
      checksum += node.key.length + node.change
      acked++
      if (acked === heard) more()
    })
  }
}

emitter.on('userAdded', (msg) => {
  if (msg.id.length !== 16) throw new Error('wrong event')
  heard++
  if (emitted - Math.min(acked, heard) <= window >> 1 || acked === heard) more()
})

emitter.status.on('ready', () => {
  more()
  setTimeout(() => { mark = { at: now(), count: Math.min(acked, heard) } }, ms / 3)
  setTimeout(async () => {
    const count = Math.min(acked, heard) - mark.count
    const seconds = (now() - mark.at) / 1000
    stop = true
    // How many events share a flush, and what each takes on disk: over the whole run.
    const stats = store === 'path' ? await emitter.stats() : undefined
    const grouping = stats && { window: Math.round(stats.change / stats.commits), bytes: Math.round(stats.sizes.data / stats.change) }
    done({ rate: count / seconds, count, checksum: checksum > 0, grouping })
  }, ms)
})
