'use strict'

const { forJson, forTerminal } = require('../escape')
const { EXIT, UsageFailure } = require('../exit')
const { count, counted } = require('../format')

/** What it does, and how many arguments that takes. */
const ACTIONS = { check: 2, show: 1 }

module.exports = {
  name: 'schema',
  summary: 'show the schema that a store\'s events were written with, or check a new one against it',
  usage: ['schema check SCHEMA DB [--json]', 'schema show DB [--json]'],
  description: [
    'check tells whether SCHEMA can read what is stored. First it compares each message with what the events of its name were encoded with, by the rules of protobuf\'s wire format, and prints the fields that differ. Then it decodes every event. Events whose name SCHEMA does not have count as unreadable, unless no schema had it when they were emitted.',
    'show prints the messages that the stored events were encoded with, each with the types that it consists of. A message that was changed in a way that readers cannot follow is printed in each of its forms.',
    'A store remembers the messages of events that were emitted by 2.x through it. Events that came from peers, or that 1.x emitted, are only decoded.'
  ],
  operands: [
    { name: 'ACTION', choices: Object.keys(ACTIONS) },
    { name: 'SCHEMA|DB', value: 'FILE' },
    { name: 'DB', value: 'DIR', optional: true, many: true }
  ],
  options: {
    json: { type: 'boolean', help: 'print one JSON object. check: ok, events, differences (path, was, is) and unreadable (name, count, change, error: the first of each name); show: messages (name, protobuf, proto)' }
  },
  exits: [['3', 'check: SCHEMA cannot read everything']],
  examples: [
    ['Before a release', 'hypem schema check messages.proto db'],
    ['What wrote this?', 'hypem schema show db']
  ],
  async run (context, values, [action, ...operands]) {
    if (!Object.hasOwn(ACTIONS, action)) throw new UsageFailure(`schema can check and show, not ${action}`)
    if (operands.length !== ACTIONS[action]) throw new UsageFailure(`schema ${action} takes ${ACTIONS[action] === 1 ? 'DB' : 'SCHEMA and DB'}`)
    return action === 'show' ? show(context, values, ...operands) : check(context, values, ...operands)
  }
}

async function show (context, { json }, db) {
  const hyper = await context.open(db, null, { mustExist: true, readOnly: true })
  const messages = (await hyper.schemas()).map(({ name, protobuf, proto }) => ({ name, protobuf, proto }))
  await context.print(json ? forJson({ messages }, 2) + '\n' : protoFile(messages))
}

/** All messages as the text of one file. Each line is escaped by itself, because it contains names that others chose. */
function protoFile (messages) {
  if (messages.length === 0) return '// no event was emitted with a schema\n'
  const seen = new Set()
  const parts = messages.map(({ name, protobuf, proto }) => {
    const again = seen.has(name) ? ', in another form' : ''
    seen.add(name)
    return `// ${name}: ${protobuf === 'standard' ? 'standard protobuf' : '1.x\'s encoding'}${again}\n${proto}`
  })
  const text = `syntax = "proto2";\n\n${parts.join('\n')}`
  return text.split('\n').map(forTerminal).join('\n')
}

async function check (context, { json }, file, db) {
  const hyper = await context.open(db, context.schema(file), { mustExist: true, readOnly: true, unsaid: 'ERR_HYPER_SCHEMA_DRIFT' })
  const forms = await hyper.schemas()
  const { events, unreadable } = await context.or(tryEvents(context, hyper, new Set(forms.map(({ name }) => name))))
  const differences = forms.flatMap(({ differences }) => differences)
  const ok = differences.length === 0 && unreadable.length === 0
  await context.print(json ? forJson({ ok, events, differences, unreadable }, 2) + '\n' : report(events, differences, unreadable))
  return ok ? EXIT.OK : EXIT.FOUND
}

/**
 * Decodes every event. Returns how many there are, and by name which could not be read. `recorded`: names of events that had a
 * message.
 */
async function tryEvents (context, hyper, recorded) {
  const { change: total } = await hyper.stats()
  const bar = context.progress('decoding')
  const faults = new Map()
  let events = 0
  for await (const { change, name, error } of hyper.read()) {
    events++
    if (events % 1024 === 0) bar.update(change, total)
    const why = error?.cause?.message ?? error?.message ?? (recorded.has(name) && !Object.hasOwn(hyper.messages, name) ? 'not in the schema' : undefined)
    if (why === undefined) continue
    const fault = faults.get(name)
    if (fault === undefined) faults.set(name, { name, count: 1, change, error: why })
    else fault.count++
  }
  bar.end()
  return { events, unreadable: [...faults.values()] }
}

function report (events, differences, unreadable) {
  const fields = differences.map(({ path, was, is }) => `${forTerminal(path)}: was ${forTerminal(was)}, is ${forTerminal(is)}\n`)
  const failed = unreadable.map(({ name, count, change, error }) =>
    `${forTerminal(name)}: ${counted(count, 'event')} cannot be decoded, the first is change ${change}: ${forTerminal(error)}\n`)
  const bad = unreadable.reduce((sum, each) => sum + each.count, 0)
  return `${fields.join('')}${failed.join('')}${counted(events, 'event')} tried, ${count(events - bad)} can be decoded\n`
}
