'use strict'

// The upper limit: records are appended to a plain file, `window` of them with one write and one fdatasync, and without any
// other work. With `window` 1, write and fdatasync run on the calling thread, one directly after the other.

const fs = require('node:fs')
const path = require('node:path')
const { options, done, now, folder } = require('../lib/modules')

const { window = 1024, ms = 3000, bytes = 120 } = options()
const fd = fs.openSync(path.join(folder(), 'log'), 'a')
const record = Buffer.alloc(bytes, 'x')
let count = 0
const started = now()

if (window === 1) {
  while (now() - started < ms) {
    fs.writeSync(fd, record)
    fs.fdatasyncSync(fd)
    count++
  }
  done({ rate: count / (now() - started) * 1000 })
} else {
  const group = Buffer.alloc(bytes * window, 'x')
  const next = () => {
    if (now() - started >= ms) return done({ rate: count / (now() - started) * 1000 })
    fs.write(fd, group, (err) => {
      if (err) throw err
      fs.fdatasync(fd, (err) => {
        if (err) throw err
        count += window
        next()
      })
    })
  }
  next()
}
