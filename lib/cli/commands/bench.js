'use strict'

const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { count, perSecond, table } = require('../format')
const options = require('../options')

const SCHEMA = 'message userAdded { optional int32 id = 1; optional string username = 2; }'

/** Emits in flight, except in the measurements of one emit at a time. */
const WINDOW = 1024

module.exports = {
  name: 'bench',
  summary: 'measure how fast this machine emits and replicates',
  usage: ['bench [--events N] [--dir DIR] [--json]'],
  description: [
    'Emits small events, in memory and to disk, 1024 at a time and one at a time, and counts each when its callback and a listener have been called. Then replicates them to a second emitter on the same machine. In the source tree, npm run bench measures more, and compares with other programs.'
  ],
  operands: [],
  options: {
    events: { type: 'string', value: 'N', help: 'events per measurement; default: 100000' },
    dir: { type: 'string', value: 'DIR', help: 'a folder on the disk to measure; default: the folder for temporary files' },
    json: { type: 'boolean', help: 'print one JSON object: events per second' }
  },
  examples: [['Measure the disk of a folder', 'hypem bench --dir /var/lib']],
  async run (context, values) {
    const events = options.integer(values, 'events', 1, 1e8) ?? 100000
    const scratch = mkdtempSync(join(values.dir ?? tmpdir(), 'hypem-bench-'))
    context.atEnd(async () => rmSync(scratch, { recursive: true, force: true }))
    const results = await context.or(measure(context, events, scratch))
    if (values.json) await context.print(JSON.stringify({ events, perSecond: Object.fromEntries(results.map(({ id, rate }) => [id, Math.round(rate)])) }, null, 2) + '\n')
    else await context.print(table(results.map(({ text, n, rate }) => [text, `${count(n)} events`, perSecond(rate)])))
  }
}

async function measure (context, events, scratch) {
  const { HyperEmitter } = context
  const results = []
  const record = (id, text, n, seconds) => results.push({ id, text, n, rate: n / seconds })
  const bar = context.progress('measuring')
  const make = (db) => {
    const hyper = new HyperEmitter(db, SCHEMA, { dial: false })
    context.atEnd(() => hyper.close())
    return hyper
  }
  const one = Math.max(1, Math.ceil(events / 100)) // one at a time takes long

  const memory = make()
  record('memory', 'memory, 1024 in flight', events, await emitting(memory, events, WINDOW, bar))
  record('memoryOneByOne', 'memory, one at a time', one, await emitting(memory, one, 1, bar))
  await memory.close()
  const disk = make(join(scratch, 'db'))
  record('disk', 'disk, 1024 in flight', events, await emitting(disk, events, WINDOW, bar))
  record('diskOneByOne', 'disk, one at a time', one, await emitting(disk, one, 1, bar))

  const { port } = await disk.listen(0, '127.0.0.1')
  const copy = make(join(scratch, 'copy'))
  const { change } = await disk.stats()
  const caughtUp = hearing(copy, change - 1) // the address of the listener is an event without a listener
  await copy.connect(port, '127.0.0.1')
  record('catchUp', 'catch-up over loopback, disk to disk', change - 1, await caughtUp)
  const live = hearing(copy, events)
  const emitted = emitting(disk, events, WINDOW, bar)
  record('live', 'live over loopback, disk to disk', events, await live)
  await emitted
  bar.end()
  return results
}

/** Seconds until `n` events have been emitted, acknowledged and heard. */
async function emitting (hyper, n, window, bar) {
  await hyper.ready()
  const heard = hearing(hyper, n)
  await new Promise((resolve, reject) => {
    let sent = 0
    let acknowledged = 0
    const next = () => {
      const id = sent++
      hyper.emit('userAdded', { id, username: 'user' + id }, (error) => {
        if (error) return reject(error)
        acknowledged++
        if (acknowledged % 1000 === 0) bar.update(acknowledged, n)
        if (acknowledged === n) resolve()
        else if (sent < n) next()
      })
    }
    while (sent < Math.min(window, n)) next()
  })
  return heard
}

/** Seconds until `n` more events have been heard. */
function hearing (hyper, n) {
  const started = performance.now()
  return new Promise((resolve) => {
    let heard = 0
    hyper.on('userAdded', function listener () {
      if (++heard < n) return
      hyper.removeListener('userAdded', listener)
      resolve((performance.now() - started) / 1000)
    })
  })
}
