'use strict'

// SHA-256 over messages of one size, one thread: what a log that hashes every event cannot exceed.

const { hash } = require('node:crypto')
const { options, done, now } = require('../lib/modules')

const { bytes = 4096, ms = 2000 } = options()
const block = Buffer.alloc(bytes, 'x')
let count = 0
const started = now()
while (now() - started < ms) {
  for (let i = 0; i < 200; i++) hash('sha256', block, 'buffer')
  count += 200
}
done({ rate: count / (now() - started) * 1000 })
