'use strict'

const { timeText } = require('../log/stored-time')
const { forDot } = require('./escape')

/** The fill colour of the nth log: hues by the golden angle, so that any two logs differ. */
function colour (index) {
  return `${((0.58 + index * 0.381966) % 1).toFixed(3)} 0.28 1.000`
}

/**
 * Draws a part of the DAG in the DOT language: causes to the left, effects to the right, arrows from each event to those that
 * it links to. Each log has a colour, and heads have a double border. Causes outside this part are small grey boxes.
 * @param {Array<{change: number, key: string, log: string, seq: number, time?: number, links: string[], name: string}>} events
 *   ascending by change
 * @param {Iterable<string>} heads keys
 * @param {string[]} [known] all logs of the store, so that a log has the same colour in every drawing
 * @returns {string}
 */
function toDot (events, heads, known = []) {
  const colours = new Map([...known].sort().map((log, index) => [log, colour(index)]))
  const isHead = new Set(heads)
  const shown = new Set(events.map(({ key }) => key))
  const logs = new Map()
  const outside = new Set()
  const nodes = []
  const edges = []
  for (const { change, key, log, seq, time, links, name } of events) {
    if (!logs.has(log)) logs.set(log, colours.get(log) ?? colour(colours.size + logs.size))
    const tooltip = forDot([key, `${log}:${seq}`, timeText(time)].filter(Boolean).join('  '))
    nodes.push(`  "${key}" [label="${forDot(name)}\\n${change}", fillcolor="${logs.get(log)}", tooltip="${tooltip}"${isHead.has(key) ? ', peripheries=2, penwidth=2' : ''}]`)
    for (const link of links) {
      if (!shown.has(link)) outside.add(link)
      edges.push(`  "${link}" -> "${key}"${shown.has(link) ? '' : ' [style=dashed, color=gray60]'}`)
    }
  }
  for (const key of outside) {
    nodes.push(`  "${key}" [label="${key.slice(0, 8)}", shape=box, style=dotted, color=gray60, fontcolor=gray60, fontsize=8, height=0.2, margin="0.05,0.02"]`)
  }
  const legend = [...logs].map(([log, fill], index) => `    "log ${index}" [label="${forDot(log)}", fillcolor="${fill}", shape=box, fontsize=9, height=0.25, margin="0.2,0.05"]`)
  return [
    'digraph hyperemitter {',
    '  rankdir=LR',
    '  bgcolor=white',
    '  node [shape=ellipse, style=filled, fontname="Helvetica", fontsize=10, height=0.4]',
    '  edge [dir=back, arrowsize=0.7]', // laid out from cause to effect, but the arrow points as the link does
    ...nodes,
    ...edges,
    '  subgraph cluster_logs {',
    '    label="logs"; fontname="Helvetica"; fontsize=9; color=gray80',
    ...legend,
    '  }',
    '}',
    ''
  ].join('\n')
}

module.exports = { toDot }
