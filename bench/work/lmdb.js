'use strict'

// lmdb-js: a `put` per event, `window` in flight; each promise resolves once its commit is synced.

const { open } = require('lmdb')
const { options, done, now, folder } = require('../lib/modules')

const { window = 1024, ms = 3000, bytes = 120 } = options()
const db = open({ path: folder(), overlappingSync: false, encoding: 'binary', keyEncoding: 'uint32' })
const value = Buffer.alloc(bytes, 'x')
let next = 0
let count = 0

async function main () {
  const started = now()
  const worker = async () => {
    while (now() - started < ms) {
      await db.put(next++, value)
      count++
    }
  }
  await Promise.all(Array.from({ length: window }, worker))
  done({ rate: count / (now() - started) * 1000 })
}
main()
