'use strict'

// Hypercore 11: appends to its store on disk. It signs and hashes, but does not wait for fdatasync.

const Hypercore = require('hypercore')
const { options, done, now, folder } = require('../lib/modules')

const { window = 1024, ms = 3000, mode = 'append', count = 100000 } = options()
const block = Buffer.alloc(38, 'x')

async function main () {
  const core = new Hypercore(folder())
  await core.ready()
  if (mode === 'append') {
    let appended = 0
    const started = now()
    while (now() - started < ms) {
      await core.append(Array(window).fill(block))
      appended += window
    }
    return done({ rate: appended / (now() - started) * 1000 })
  }
  for (let at = 0; at < count; at += 1024) await core.append(Array(1024).fill(block))
  const started = now()
  let read = 0
  for await (const data of core.createReadStream()) read += data.length > 0 ? 1 : 0
  done({ rate: read / (now() - started) * 1000 })
}
main()
