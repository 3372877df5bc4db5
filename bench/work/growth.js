'use strict'

// Resident memory of an emitter on the embedded store while `count` live events pass through it, after a warm-up: some three
// million events fill V8's young generation and the index's cache.

const path = require('node:path')
const { open, event, options, done, folder } = require('../lib/modules')

const { count = 1000000, window = 1024 } = options()
const emitter = open('ours', path.join(folder(), 'db'))
const warm = Math.min(count / 3, 3000000)
let emitted = 0
let acked = 0
let before = 0

function settle () {
  global.gc()
  return process.memoryUsage.rss()
}

function more () {
  while (emitted < count + warm && emitted - acked < window) {
    emitted++
    emitter.emit('userAdded', event, (err) => {
      if (err) throw err
      if (++acked === warm) before = settle()
      if (acked === count + warm) done({ growth: settle() - before, before })
      else if (emitted - acked < window >> 1) more()
    })
  }
}

emitter.on('userAdded', () => {})
emitter.status.on('ready', more)
