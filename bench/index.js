'use strict'

// npm run bench: every row, each peer beside us in the same run, medians and ratios. Options: --quick (one round), --rounds N,
// --only TEXT (rows whose name contains it), --long (also the rows that take minutes), --json FILE, --svg FILE.

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { measure, median } = require('./lib/run')
const { machine } = require('./lib/modules')
const chart = require('./lib/chart')
const rows = require('./rows')

const { values: args } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    long: { type: 'boolean' },
    json: { type: 'string' },
    svg: { type: 'string' }
  }
})
const rounds = args.quick ? 1 : Number(args.rounds)
// One run of `disk` yields many rows.
const kept = new Map()

async function side ({ work, options }, round, ours) {
  if (typeof options === 'function') options = options(ours)
  const key = JSON.stringify([work, options, work === 'disk' ? round : Math.random()])
  if (!kept.has(key)) kept.set(key, measure(work, options))
  return kept.get(key)
}

function missing (row) {
  return row.needs && spawnSync('which', [row.needs]).status !== 0 ? `${row.needs} is not installed` : null
}

async function pair (row) {
  const runs = []
  for (let round = 0; round < rounds; round++) {
    const result = await side(row.ours, round)
    const ours = row.ours.pick(result)
    const theirs = row.theirs.pick(await side(row.theirs, round, result))
    runs.push({ ours, theirs, ratio: ours / theirs })
  }
  const of = (name) => median(runs.map((run) => run[name]))
  return { ours: of('ours'), theirs: of('theirs'), ratio: of('ratio'), runs }
}

async function figure (row) {
  const runs = []
  for (let round = 0; round < rounds; round++) {
    const base = row.base && row.base.pick(await side(row.base, round))
    const value = row.pick(await side(row, round))
    runs.push(row.base ? base / value : value)
  }
  return { value: median(runs), runs }
}

function short (number) {
  if (number >= 1e6) return (number / 1e6).toFixed(2) + 'M'
  if (number >= 1e4) return Math.round(number / 1e3) + 'k'
  if (number >= 1e3) return (number / 1e3).toFixed(1) + 'k'
  return number >= 10 ? number.toFixed(0) : number.toFixed(2)
}

function verdict (met, goal) {
  return goal === undefined ? '' : met ? 'met' : 'NOT met'
}

async function main () {
  const about = machine()
  const report = { date: new Date().toISOString().slice(0, 10), machine: about, rounds, pairs: [], figures: [] }
  const wanted = (row) => row.name.includes(args.only) || (row.peer || '').includes(args.only)
  console.log(`${about.cpu}, ${about.cores} cores, ${about.memory}, ${about.system}, Node ${about.node}; medians of ${rounds}\n`)
  console.log('| work | ours /s | peer | peer /s | ratio | goal | |\n| --- | --- | --- | --- | --- | --- | --- |')
  for (const row of rows.pairs.filter(wanted)) {
    const skipped = missing(row)
    const result = skipped ? { skipped } : await pair(row).catch((err) => ({ skipped: `failed: ${err.message}` }))
    report.pairs.push({ name: row.name, peer: row.peer, goal: row.goal, ...result })
    if (result.skipped) console.log(`| ${row.name} | – | ${row.peer} | – | skipped: ${result.skipped} | | |`)
    else console.log(`| ${row.name} | ${short(result.ours)} | ${row.peer} | ${short(result.theirs)} | ${short(result.ratio)}x | ${row.goal ? `≥ ${row.goal}x` : ''} | ${verdict(result.ratio >= row.goal, row.goal)} |`)
  }
  console.log('\n| figure | value | goal | |\n| --- | --- | --- | --- |')
  for (const row of [...rows.figures, ...(args.long ? rows.long : [])].filter(wanted)) {
    const result = await figure(row).catch((err) => ({ skipped: `failed: ${err.message}` }))
    report.figures.push({ name: row.name, unit: row.unit, most: row.most, ...result })
    if (result.skipped) console.log(`| ${row.name} | skipped: ${result.skipped} | | |`)
    else console.log(`| ${row.name} | ${short(result.value)} ${row.unit} | ≤ ${row.most} ${row.unit} | ${verdict(result.value <= row.most, row.most)} |`)
  }
  if (args.json) fs.writeFileSync(path.resolve(args.json), JSON.stringify(report, null, 1) + '\n')
  if (args.svg) fs.writeFileSync(path.resolve(args.svg), chart(report))
  // A row that could not run is a fault of the benchmark; a goal that was not met is a result.
  process.exitCode = [...report.pairs, ...report.figures].some((row) => /^failed/.test(row.skipped)) ? 1 : 0
}

main()
