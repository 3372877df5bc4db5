'use strict'

const { writeFile } = require('node:fs/promises')
const { extname } = require('node:path')
const { Failure, UsageFailure } = require('../exit')
const { timeText } = require('../../stored-time')
const { toDot } = require('../dot')
const { forJson } = require('../escape')
const options = require('../options')
const { SELECTION, select } = require('../select')

/** Events drawn unless told otherwise: the newest ones that a person can still look at. */
const DEFAULT_LIMIT = 200

/** Graphviz needs minutes and gigabytes for more. */
const MAX_SVG = 3000

const FORMATS = ['dot', 'svg', 'json']

module.exports = {
  name: 'graph',
  summary: 'draw the DAG of events, as DOT or SVG',
  usage: ['graph DB [--format dot|svg|json] [--out FILE] [OPTION]...'],
  description: [
    'Prints a piece of the DAG: every event with its name and change, arrows to the events it links to. Each log has its own colour; heads (events that nothing follows yet) have a double border; causes outside the piece are grey boxes.',
    'SVG is drawn by Graphviz as the package @viz-js/viz (npm install @viz-js/viz); DOT needs nothing.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }],
  options: {
    format: { type: 'string', value: 'FORMAT', choices: FORMATS, help: 'dot unless --out ends in .svg or .json' },
    json: { type: 'boolean', help: 'the same as --format json: nodes and heads' },
    out: { type: 'string', short: 'o', value: 'FILE', help: 'write to this file instead of standard output' },
    ...SELECTION,
    limit: { type: 'string', value: 'N', help: `the newest N events of the selection (${DEFAULT_LIMIT})` }
  },
  examples: [
    ['A picture of the last two hundred events', 'hypem graph db --out dag.svg'],
    ['With a Graphviz of your own', 'hypem graph db --since 100 --until 160 | dot -Tpdf > dag.pdf']
  ],
  async run (context, values, [db]) {
    const format = formatOf(values)
    const limit = options.integer(values, 'limit', 1) ?? DEFAULT_LIMIT
    if (format === 'svg' && limit > MAX_SVG) throw new UsageFailure(`--limit ${limit}: an SVG takes at most ${MAX_SVG} events; use --format dot`)
    const viz = format === 'svg' ? await loadViz() : null
    const hyper = await context.open(db, null, { mustExist: true })
    const { events, heads, logs } = await context.or(collect(hyper, values, limit))
    const text = { dot: () => toDot(events, heads, logs), svg: () => viz.renderString(toDot(events, heads, logs), { format: 'svg' }), json: () => toJson(events, heads) }[format]()
    if (values.out) await writeFile(values.out, text)
    else await context.print(text)
  }
}

function formatOf ({ format, json, out }) {
  if (format) return format
  if (json) return 'json'
  const ending = out ? extname(out).slice(1) : ''
  return FORMATS.includes(ending) ? ending : 'dot'
}

async function collect (hyper, values, limit) {
  const events = []
  for await (const { change, key, log, seq, time, links, name } of select(hyper, values, { reverse: true, limit })) {
    events.push({ change, key, log, seq, time, links, name })
  }
  const heads = (await hyper.heads()).map(({ key }) => key)
  const { logs } = await hyper.stats()
  return { events: events.reverse(), heads, logs: logs.map(({ log }) => log) }
}

function toJson (events, heads) {
  return forJson({ heads, nodes: events.map((event) => ({ ...event, time: timeText(event.time) })) }, 2) + '\n'
}

async function loadViz () {
  let instance
  try {
    ({ instance } = await import('@viz-js/viz'))
  } catch (error) {
    throw new Failure(`SVG needs the package @viz-js/viz (npm install @viz-js/viz), or use --format dot: ${error.message.split('\n')[0]}`)
  }
  return instance()
}
