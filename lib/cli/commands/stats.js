'use strict'

const { readdirSync, statSync } = require('node:fs')
const { join } = require('node:path')
const { timeText } = require('../../log/stored-time')
const { forJson } = require('../escape')
const { count, size, table } = require('../format')
const { kindOf } = require('../store')

module.exports = {
  name: 'stats',
  summary: 'show how much is in a store',
  usage: ['stats DB [--json]'],
  description: ['Counts the events of a store, by name and by log. Shows the number of heads (events that no other event links to yet), the times of the first and last event, the digest, the size on disk, and the peers that the store remembers: an emitter on this store connects to them when it starts.'],
  operands: [{ name: 'DB', value: 'DIR' }],
  options: {
    json: { type: 'boolean', help: 'print one JSON object' }
  },
  examples: [['Events per name', 'hypem stats db'], ['The number of heads, for a program', 'hypem stats db --json | jq .heads']],
  async run (context, values, [db]) {
    const hyper = await context.open(db, null, { mustExist: true, readOnly: true })
    const stats = await context.or(collect(context, hyper, db))
    await context.print(values.json ? forJson(stats, 2) + '\n' : text(stats))
  }
}

async function collect (context, hyper, db) {
  const { change, log, logs, heads, sizes, known } = await hyper.stats()
  const names = new Map()
  let first
  let last
  const bar = context.progress('counting')
  for await (const event of hyper.read()) {
    names.set(event.name, (names.get(event.name) ?? 0) + 1)
    if (event.time !== undefined) {
      if (first === undefined || event.time < first) first = event.time
      if (last === undefined || event.time > last) last = event.time
    }
    if (event.change % 1000 === 0) bar.update(event.change, change)
  }
  bar.end()
  const store = kindOf(db)
  return {
    store,
    events: change,
    digest: await hyper.digest(),
    first: timeText(first) ?? null,
    last: timeText(last) ?? null,
    ownLog: log,
    heads,
    sizes: store === 'level' ? { data: folderSize(db), index: 0 } : sizes, // LevelDB does not tell its own
    logs: [...logs].sort((a, b) => b.seq - a.seq),
    names: Object.fromEntries([...names].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))),
    peers: known.map(({ host, port }) => `${host}:${port}`)
  }
}

/** Bytes of the files in a folder. */
function folderSize (path) {
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
}

function text (stats) {
  const section = (title, rows) => rows.length === 0 ? '' : `\n${title}\n${table(rows.map((row) => ['', ...row]))}`
  return table([
    ['store', stats.store],
    ['events', count(stats.events)],
    ['logs', count(stats.logs.length)],
    ['heads', count(stats.heads)],
    ['first', stats.first ?? '-'],
    ['last', stats.last ?? '-'],
    ['data', size(stats.sizes.data)],
    ['index', size(stats.sizes.index)],
    ['digest', stats.digest]
  ]) +
    section('events by name', Object.entries(stats.names)) +
    section('events by log', stats.logs.map(({ log, seq }) => [log, seq, log === stats.ownLog ? 'own' : ''])) +
    section('peers to connect to at the next start', stats.peers.map((peer) => [peer]))
}
