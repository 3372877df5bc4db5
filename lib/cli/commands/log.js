'use strict'

const { UsageFailure } = require('../exit')
const { timeText } = require('../../stored-time')
const { forTerminal, shown } = require('../escape')
const { toFullLine } = require('../json')
const options = require('../options')
const { SELECTION, select } = require('../select')
const { LINKS, meet } = require('../links')
const { hasColours } = require('../terminal')

module.exports = {
  name: 'log',
  summary: 'show the events of a store',
  usage: ['log DB [--schema FILE] [OPTION]...'],
  description: [
    'Prints events with their change (their number in this store), the time at which they were emitted, log and number in it, the beginning of their key, name and payload. Without a schema payloads are shown as bytes.',
    'With --follow it goes on with what peers send: a store is open in one process at a time, so new events come over --port and --target-port.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }],
  options: {
    schema: { type: 'string', value: 'FILE', help: 'the .proto file, to decode payloads' },
    ...SELECTION,
    reverse: { type: 'boolean', help: 'newest first' },
    limit: { type: 'string', value: 'N', help: 'at most so many events' },
    follow: { type: 'boolean', short: 'f', help: 'go on with what is stored later, until Ctrl-C' },
    ...LINKS,
    json: { type: 'boolean', help: 'one JSON object per line: change, time, log, seq, key, links, name, payload' }
  },
  examples: [
    ['The last ten events', 'hypem log db --reverse --limit 10'],
    ['What one log said today, for a program', 'hypem log db --schema messages.proto --origin cjx5 --after 24h --json']
  ],
  async run (context, values, [db]) {
    const limit = options.integer(values, 'limit')
    if (values.follow && values.reverse) throw new UsageFailure('--follow and --reverse exclude each other')
    const hyper = await context.open(db, context.schema(values.schema), { mustExist: true, dial: values.follow })
    if (values.follow) await meet(context, hyper, values, (text) => context.warn(text))
    const line = values.json ? toFullLine : lineFor(context)
    const printing = async () => {
      for await (const event of select(hyper, values, { reverse: values.reverse, live: values.follow, limit })) {
        const wait = context.output.write(line(event))
        if (wait) await wait
      }
    }
    await context.or(printing())
  }
}

/** A line for people. */
function lineFor ({ paint, stdout, env }) {
  const colours = hasColours(stdout, env)
  return ({ change, time, log, seq, key, name, payload, raw }) => {
    const place = `${String(change).padStart(6)}  ${(timeText(time) ?? '-').padEnd(24)}  ${forTerminal(log)}:${seq}  ${key.slice(0, 8)}`
    const content = shown(payload === undefined ? raw : payload, { colors: colours, breakLength: Infinity, compact: true })
    return `${paint('dim', place)}  ${paint('bold', forTerminal(name))} ${content}\n`
  }
}
