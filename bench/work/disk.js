'use strict'

// A store of `count` events on disk: its size, how fast it opens and is read, how much memory that takes, and how long an
// append to it takes.

const fs = require('node:fs')
const path = require('node:path')
const { fork } = require('node:child_process')
const { open, event, options, done, now, folder } = require('../lib/modules')

const { count = 1000000, step = 'fill', dir } = options()

function size (folder) {
  return fs.readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const file = path.join(folder, entry.name)
    // The allocated blocks, not the lengths of files: segments are preallocated.
    return sum + (entry.isDirectory() ? size(file) : fs.statSync(file).blocks * 512)
  }, 0)
}

function child (step, dir) {
  return new Promise((resolve, reject) => {
    const process = fork(__filename, [JSON.stringify({ count, step, dir })], { execArgv: ['--expose-gc'] })
    process.on('message', resolve)
    process.on('exit', (code) => { if (code) reject(new Error(`${step} ended with ${code}`)) })
  })
}

function append (emitter, total) {
  return new Promise((resolve, reject) => {
    const started = now()
    let sent = 0
    let acked = 0
    const more = () => {
      while (sent < total && sent - acked < 4096) {
        sent++
        emitter.emit('userAdded', event, (err) => {
          if (err) return reject(err)
          if (++acked === total) resolve(now() - started)
          else if (sent - acked < 2048) more()
        })
      }
    }
    more()
  })
}

const steps = {
  async fill (send) {
    const emitter = open('ours', dir)
    const ms = await append(emitter, count)
    await emitter.close()
    send({ rate: count / ms * 1000 })
  },
  async open (send) {
    const started = now()
    const emitter = open('ours', dir)
    await emitter.ready()
    const ms = now() - started
    global.gc()
    const idle = process.memoryUsage.rss()
    const appended = await append(emitter, 100000)
    await emitter.close()
    send({ ms, idle, appendRate: 100000 / appended * 1000 })
  },
  async stream (send) {
    const emitter = open('ours', dir)
    await emitter.ready()
    const started = now()
    let read = 0
    let peak = 0
    await new Promise((resolve) => {
      emitter.stream({ from: 'beginning' }).on('data', (item) => {
        if (item.payload.id.length !== 16) throw new Error('wrong event')
        if (++read % 50000 === 0) peak = Math.max(peak, process.memoryUsage.rss())
        if (read === count) resolve()
      })
    })
    send({ rate: read / (now() - started) * 1000, peak })
  },
  async cursor (send) {
    const emitter = open('ours', dir, null)
    await emitter.ready()
    const started = now()
    let read = 0
    for await (const row of emitter.read({ since: 0, limit: count })) read += row.raw.length > 0 ? 1 : 0
    send({ rate: read / (now() - started) * 1000 })
  }
}

async function main () {
  if (process.send) {
    return steps[step]((result) => process.send(result, () => process.exit(0)))
  }
  const dir = path.join(folder(), 'db')
  const fill = await child('fill', dir)
  const bytes = size(dir)
  const stream = await child('stream', dir)
  const cursor = await child('cursor', dir)
  const reopened = await child('open', dir)
  const index = path.join(dir, 'index')
  const hadIndex = fs.existsSync(index)
  fs.rmSync(index, { recursive: true, force: true })
  const rebuilt = await child('open', dir)
  done({
    fillRate: fill.rate,
    bytesPerEvent: bytes / count,
    streamRate: stream.rate,
    streamPeak: stream.peak,
    cursorRate: cursor.rate,
    openMs: reopened.ms,
    idle: reopened.idle,
    appendRate: reopened.appendRate,
    rebuildMs: hadIndex ? rebuilt.ms : null
  })
}
main()
