'use strict'

// npm run bench: measures every row, in turn with each peer of it, in the same run; prints medians and ratios. Options: --quick
// (one round), --rounds N, --only TEXT (rows whose name contains it), --long (also the rows that take minutes), --json FILE,
// --svg FILE, --against FOLDER (our side of every row beside another checkout's, in turn, instead of the peers).

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
    against: { type: 'string' },
    json: { type: 'string' },
    svg: { type: 'string' }
  }
})
const rounds = args.quick ? 1 : Number(args.rounds)
// One run of these yields many rows.
const SHARED = new Set(['append', 'disk', 'queries', 'umadb'])
const kept = new Map()

async function side ({ work, options }, round, ours) {
  if (typeof options === 'function') options = options(ours)
  const key = JSON.stringify([work, options, SHARED.has(work) ? round : Math.random()])
  if (!kept.has(key)) kept.set(key, measure(work, options))
  return kept.get(key)
}

function missing (row) {
  if (row.built && !fs.existsSync(row.built)) return `${path.relative('.', row.built)} has not been built`
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

/** The works that run in both checkouts: each once, with all figures that are taken from it. */
function ours () {
  const works = new Map()
  const add = ({ work, options, pick }, name, less) => {
    const key = JSON.stringify([work, options])
    if (!works.has(key)) works.set(key, { work, options, picks: new Map() })
    const { picks } = works.get(key)
    if (![...picks.values()].some((known) => String(known.pick) === String(pick))) picks.set(name, { pick, less })
  }
  for (const row of rows.pairs) add(row.ours, row.name, false)
  for (const row of [...rows.figures, ...(args.long ? rows.long : [])]) add(row, row.name, true)
  return [...works.values()]
}

/** Ratios above 1 are in favour of this checkout. */
async function compare (other) {
  console.log(`| work | here | ${other} | ratio | over the rounds |\n| --- | --- | --- | --- | --- |`)
  for (const { work, options, picks } of ours().filter(({ picks }) => [...picks.keys()].some((name) => name.includes(args.only)))) {
    const results = []
    try {
      for (let round = 0; round < rounds; round++) {
        // The order alternates, so that neither side always runs after the other.
        const first = round % 2 ? other : undefined
        const one = await measure(work, options, first)
        const two = await measure(work, options, first ? undefined : other)
        results.push(first ? [two, one] : [one, two])
      }
    } catch (err) {
      console.log(`| ${[...picks.keys()].join('; ')} | failed: ${err.message} | | | |`)
      process.exitCode = 1
      continue
    }
    for (const [name, { pick, less }] of picks) {
      const ratios = results.map(([here, there]) => less ? pick(there) / pick(here) : pick(here) / pick(there))
      const of = (side) => short(median(results.map((result) => pick(result[side]))))
      console.log(`| ${name} | ${of(0)} | ${of(1)} | ${median(ratios).toFixed(3)} | ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')} |`)
    }
  }
}

async function main () {
  const about = machine()
  if (args.against) return compare(path.resolve(args.against))
  const report = { date: new Date().toISOString().slice(0, 10), machine: about, rounds, pairs: [], figures: [] }
  const wanted = (row) => row.name.includes(args.only) || (row.peer || '').includes(args.only)
  console.log(`${about.cpu}, ${about.cores} cores, ${about.memory}, ${about.system}, Node ${about.node}; medians of ${rounds}\n`)
  console.log('| work | ours /s | peer | peer /s | ratio | goal | |\n| --- | --- | --- | --- | --- | --- | --- |')
  for (const row of [...rows.pairs, ...(args.long ? rows.longPairs : [])].filter(wanted)) {
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
