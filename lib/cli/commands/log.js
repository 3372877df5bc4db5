'use strict'

const { timeText } = require('../../log/stored-time')
const { forTerminal, shown } = require('../escape')
const { UsageFailure } = require('../exit')
const { logLine } = require('../json')
const { SELECTION, SLICE, select, slice } = require('../select')
const { LINKS, hasLinks, meet } = require('../links')
const { kindOf } = require('../store')
const { hasColours } = require('../terminal')

module.exports = {
  name: 'log',
  summary: 'show the events of a store',
  usage: ['log DB [--schema FILE] [--tail N] [OPTION]...', 'log [DB] --follow --connect HOST:PORT [OPTION]...'],
  description: [
    'Prints one event per line, the newest last: its change (its number in this store), the time at which it was emitted, its log and its number in that log, the beginning of its key, its name and its payload. Without a schema, payloads are shown as bytes.',
    'With --follow it then waits, and prints further events as they are stored, by the process that has the store open. With --connect, --target-port or --port it is a peer itself, and the events come over the network: from these peers, and from those that the store remembers. Then no other process may have the store open. If DB is missing, it is created. Without DB the events are kept in memory.'
  ],
  operands: [{ name: 'DB', value: 'DIR', optional: true }],
  options: {
    schema: { type: 'string', value: 'FILE', help: 'the .proto file, to decode payloads' },
    ...SELECTION,
    ...SLICE,
    reverse: { type: 'boolean', help: 'print the newest first' },
    follow: { type: 'boolean', short: 'f', help: 'wait for more, until Ctrl-C' },
    ...LINKS,
    json: { type: 'boolean', help: 'print one JSON object per line: change, cursor, time, log, seq, key, links, name, tags, payload. The payload is in protobuf\'s JSON mapping; if it cannot be decoded, it is base64, and "encoding" and "error" say so' }
  },
  examples: [
    ['The last ten events', 'hypem log db --tail 10'],
    ['The events of one log today, for a program', 'hypem log db --schema messages.proto --origin cjx5 --after 24h --json'],
    ['The events of a running application from now on', 'hypem log db --follow --tail 0 --schema messages.proto'],
    ['The same over the network', 'hypem log --follow --tail 0 --schema messages.proto --connect localhost:1234']
  ],
  async run (context, values, [db]) {
    const { follow = false, reverse = false } = values
    const wanted = slice(values)
    const linked = hasLinks(values)
    if (follow && reverse) throw new UsageFailure('--follow and --reverse exclude each other')
    if (linked && !follow) throw new UsageFailure('--connect, --target-port and --port need --follow')
    if (db === undefined && !linked) throw new UsageFailure('DB must be given')
    // A LevelDB folder cannot be read while another process has it open, so its events can only come from peers.
    const readOnly = !linked && kindOf(db) !== 'level'
    const hyper = await context.open(db, context.schema(values.schema), { mustExist: !linked, readOnly, dial: follow, trust: values })
    const line = values.json ? logLine(hyper.messages) : lineFor(context)
    if (follow) {
      await meet(context, hyper, values, (text) => context.warn(text))
      context.warn(readOnly ? 'waiting for events from the process that has the store open; Ctrl-C ends' : await waitsFor(hyper, values))
    }
    const printing = async () => {
      for await (const event of select(hyper, values, { ...wanted, reverse, live: follow })) {
        const wait = context.output.write(line(event))
        if (wait) await wait
      }
    }
    await context.or(printing())
  }
}

/** Says which peers --follow waits for. Without this message, a missing peer would look the same as an idle one. */
async function waitsFor (hyper, { port }) {
  const { known, peers } = await hyper.stats()
  const names = new Set([...known.map(({ host, port }) => `${host}:${port}`), ...peers.map(({ key }) => key)])
  const sources = [...names, ...(port === undefined ? [] : ['whoever connects'])]
  if (sources.length > 0) return `waiting for events from ${sources.join(', ')}; Ctrl-C ends`
  return 'nothing can come: this store remembers no peers, and none is given (--connect HOST:PORT); Ctrl-C ends'
}

/** A line for people. */
function lineFor ({ paint, stdout, env }) {
  const colours = hasColours(stdout, env)
  return ({ change, time, log, seq, key, name, payload, raw, error, tags = [] }) => {
    const position = `${String(change).padStart(6)}  ${(timeText(time) ?? '-').padEnd(24)}  ${forTerminal(log)}:${seq}  ${key.slice(0, 8)}`
    const content = shown(payload === undefined ? raw : payload, { colors: colours, breakLength: Infinity, compact: true })
    const fault = error ? `  ${paint('red', `(does not decode: ${forTerminal(error.message)})`)}` : ''
    return `${paint('dim', position)}  ${paint('bold', forTerminal(name ?? '-'))} ${content}${tags.map((tag) => `  ${paint('cyan', `#${forTerminal(tag)}`)}`).join('')}${fault}\n`
  }
}
