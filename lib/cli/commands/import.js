'use strict'

const { createReadStream, statSync } = require('node:fs')
const { EXIT, refusedLine } = require('../exit')
const { Feed } = require('../feed')
const { count, counted, size } = require('../format')
const { lineReader } = require('../json')
const { beginInput } = require('../resume')
const { OPTIONS } = require('../session-args')
const { transfer } = require('../transfer')

module.exports = {
  name: 'import',
  summary: 'append events from lines of JSON, or copy another store',
  usage: ['import DB [FILE] [--schema FILE] [--resume]', 'import DB FOLDER [--identity]'],
  description: [
    'From a file or standard input, every line {"name":…,"payload":…} is appended as a new event. A line that is not an event is reported with its number on standard error; the others are still appended, and the exit code is 1.',
    'From a folder (a store of 2.x, or a LevelDB folder of 1.x), the whole store is copied, with the same logs, numbers and keys. Events that DB already has are skipped, so if a copy was interrupted, run it again. If DB is missing, it is created as a store of 2.x. The id, the peers to be dialled and the announced address are not copied, because the old store may stay in use; with --identity they are copied too, if DB has none yet.',
    'If an import of lines was interrupted, run it again with the same input and --resume: lines that are already stored are skipped, so that none is lost and none is stored twice.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }, { name: 'SOURCE', value: 'FILE', optional: true }],
  options: {
    schema: { type: 'string', value: 'FILE', help: 'the .proto file, to encode payloads' },
    resume: { type: 'boolean', help: 'continue with an input that was interrupted, without storing any line twice' },
    as: { type: 'string', value: 'NAME', help: 'the name under which the store remembers this input, for --resume; default: import' },
    identity: { type: 'boolean', help: 'from a folder: copy its id, its peers and its address too; do not use the folder afterwards' },
    bytes: OPTIONS.bytes,
    strict: OPTIONS.strict,
    json: { type: 'boolean', help: 'print how many lines were stored and refused, as one JSON object' }
  },
  exits: [['1', 'some lines were refused; all others are stored']],
  examples: [
    ['Move a LevelDB folder of 1.x into a new store', 'hypem import new-db old-leveldb-folder --identity'],
    ['Lines', 'hypem import db events.ndjson --schema messages.proto']
  ],
  async run (context, values, [db, source]) {
    if (source !== undefined && source !== '-' && statSync(source).isDirectory()) return copy(context, values, db, source)
    const hyper = await context.open(db, context.schema(values.schema), { strict: values.strict })
    const feed = new Feed({
      hyper,
      read: lineReader(context.schema(values.schema), values.bytes, true),
      refused: (number, error) => context.warn(refusedLine(number, error)),
      resume: await beginInput(hyper, values.as ?? 'import', values.resume),
      signal: context.signal,
      ...progress(context, source)
    })
    await feed.run(source === undefined || source === '-' ? context.stdin : createReadStream(source))
    context.signal.throwIfAborted()
    const { lines, stored, known, refused } = feed.counts
    if (values.json) await context.print(JSON.stringify({ lines, stored, known, refused }) + '\n')
    else context.warn(`${counted(stored, 'event')} stored${known ? `, ${count(known)} were stored already` : ''}${refused ? `, ${counted(refused, 'line')} refused` : ''}`)
    return refused > 0 ? EXIT.FAILED : EXIT.OK
  }
}

async function copy (context, values, db, source) {
  const hyper = await context.open(db, null)
  const added = await transfer(context, source, hyper, values)
  if (values.json) await context.print(JSON.stringify({ rows: added }) + '\n')
  else context.warn(`${counted(added, 'event')} copied`)
}

/** Progress in bytes, with the total if the source is a file. */
function progress (context, source) {
  const bar = context.progress('importing', size)
  const total = source === undefined || source === '-' ? undefined : statSync(source).size
  return { progress: (bytes) => bar.update(bytes, total) }
}
