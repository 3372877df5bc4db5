'use strict'

const { createWriteStream } = require('node:fs')
const { once } = require('node:events')
const { Failure, UsageFailure } = require('../exit')
const { counted } = require('../format')
const { toFullLine, toLine } = require('../json')
const { Output } = require('../output')
const { SELECTION, select } = require('../select')
const { kindOf, openLevel } = require('../store')
const { transfer } = require('../transfer')

module.exports = {
  name: 'export',
  summary: 'write events as lines of JSON, or copy a store to a LevelDB folder of 1.x',
  usage: ['export DB [FILE] [--schema FILE] [--full] [OPTION]...', 'export DB --level DIR'],
  description: [
    'Writes one line {"name":…,"payload":…} per event, the oldest first, to FILE or to standard output. Without a schema the payloads are base64, and are marked as such. hypem import reads these lines.',
    'With --level the whole store is copied to a LevelDB folder that hyperemitter 1.3.0 can open: the same logs, numbers and keys. This needs the package classic-level.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }, { name: 'FILE', value: 'FILE', optional: true }],
  options: {
    schema: { type: 'string', value: 'FILE', help: 'the .proto file, to decode payloads' },
    full: { type: 'boolean', help: 'add change, time, log, seq, key and links to each line' },
    json: { type: 'boolean', help: 'has no effect: the lines are JSON in any case' },
    level: { type: 'string', value: 'DIR', help: 'copy the store to this LevelDB folder, a new one or one of 1.x' },
    force: { type: 'boolean', help: 'overwrite FILE' },
    ...SELECTION
  },
  examples: [
    ['Everything', 'hypem export db events.ndjson --schema messages.proto'],
    ['Back to 1.x', 'hypem export db --level old-db']
  ],
  async run (context, values, [db, file]) {
    if (values.level !== undefined) {
      if (file !== undefined || Object.keys(SELECTION).some((name) => values[name] !== undefined)) {
        throw new UsageFailure('--level copies the whole store; it takes neither a FILE nor a selection')
      }
      return toLevel(context, db, values.level)
    }
    const hyper = await context.open(db, context.schema(values.schema), { mustExist: true, readOnly: true })
    const output = file === undefined || file === '-' ? context.output : await create(context, file, values.force)
    await context.or(Promise.race([write(context, hyper, values, output), output.broken]))
  }
}

async function create (context, file, force) {
  const stream = createWriteStream(file, { flags: force ? 'w' : 'wx' })
  const output = new Output(stream)
  try {
    await once(stream, 'open')
  } catch (error) {
    throw error.code === 'EEXIST' ? new Failure(`${file} exists; use --force to overwrite it`) : error
  }
  context.atEnd(async () => {
    await output.flush()
    stream.end()
    await once(stream, 'close')
  })
  return output
}

async function write (context, hyper, values, output) {
  const line = values.full ? toFullLine : toLine
  const { change: total } = await hyper.stats()
  const bar = context.progress('exporting')
  for await (const event of select(hyper, values)) {
    const wait = output.write(line(event))
    if (!wait) continue
    await wait
    bar.update(event.change, total)
  }
  await output.flush()
  bar.end()
}

async function toLevel (context, db, folder) {
  if (kindOf(db) === 'new') throw new Failure(`there is no store at ${db}`)
  if (kindOf(folder) === 'embedded') throw new Failure(`${folder} is neither new nor a LevelDB folder`)
  const hyper = new context.HyperEmitter(await openLevel(folder, { create: true }), null, { dial: false })
  context.atEnd(() => hyper.close())
  await context.or(hyper.ready())
  const added = await transfer(context, db, hyper)
  context.warn(`${counted(added, 'event')} copied to ${folder}`)
}
