'use strict'

const { writeFile } = require('node:fs/promises')
const { extname } = require('node:path')
const { UsageFailure } = require('../exit')
const { timeText } = require('../../log/stored-time')
const { toDot } = require('../dot')
const { forJson } = require('../escape')
const { load } = require('../packages')
const { SELECTION, SLICE, select, slice } = require('../select')

/** How many of the newest events are drawn by default: as many as are still readable. */
const DEFAULT_LIMIT = 200

/** Most events in an SVG. Graphviz needs minutes and gigabytes for more. */
const MAX_SVG = 3000

const FORMATS = ['dot', 'svg', 'json']

module.exports = {
  name: 'graph',
  summary: 'draw how the events follow from each other, as DOT or SVG',
  usage: ['graph DB [--format dot|svg|json] [--out FILE] [OPTION]...'],
  description: [
    'Draws the newest events, or those selected, with their names and changes. Arrows lead from each event to those it links to. Each log has a colour of its own; heads (events that no other event links to yet) have a double border; events that are linked to, but not selected, are grey boxes.',
    'SVG needs the package @viz-js/viz; hypem says how to install it if it is missing. DOT needs nothing.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }],
  options: {
    format: { type: 'string', value: 'FORMAT', choices: FORMATS, help: 'the format of the output; default: the extension of the --out file, else dot' },
    json: { type: 'boolean', help: 'the same as --format json: one object, heads and nodes' },
    out: { type: 'string', short: 'o', value: 'FILE', help: 'write to this file instead of standard output' },
    ...SELECTION,
    ...SLICE,
    tail: { ...SLICE.tail, help: `only the newest N of them; default: ${DEFAULT_LIMIT}` }
  },
  examples: [
    ['A picture of the last two hundred events', 'hypem graph db --out dag.svg'],
    ['With a Graphviz of your own', 'hypem graph db --since 100 --until 160 | dot -Tpdf > dag.pdf']
  ],
  async run (context, values, [db]) {
    const format = formatOf(values)
    const { head, tail = head === undefined ? DEFAULT_LIMIT : undefined } = slice(values)
    if (format === 'svg' && (head ?? tail) > MAX_SVG) throw new UsageFailure(`${head ?? tail} events are too many for an SVG, which takes ${MAX_SVG}; use --format dot`)
    const viz = format === 'svg' ? await loadViz() : null
    const hyper = await context.open(db, null, { mustExist: true, readOnly: true })
    const { events, heads, logs } = await context.or(collect(hyper, values, { head, tail }))
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

async function collect (hyper, values, how) {
  const events = []
  for await (const { change, key, log, seq, time, links, name } of select(hyper, values, how)) {
    events.push({ change, key, log, seq, time, links, name })
  }
  const heads = (await hyper.heads()).map(({ key }) => key)
  const { logs } = await hyper.stats()
  return { events, heads, logs: logs.map(({ log }) => log) }
}

function toJson (events, heads) {
  return forJson({ heads, nodes: events.map((event) => ({ ...event, time: timeText(event.time) })) }, 2) + '\n'
}

async function loadViz () {
  const { instance } = await load('@viz-js/viz', 'drawing SVG (--format dot does without)')
  return instance()
}
