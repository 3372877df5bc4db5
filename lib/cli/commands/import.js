'use strict'

const { createReadStream, statSync } = require('node:fs')
const { EXIT } = require('../exit')
const { Feed } = require('../feed')
const { count, counted, size } = require('../format')
const { lineReader } = require('../json')
const { beginInput } = require('../resume')
const { OPTIONS } = require('../session-args')
const { transfer } = require('../transfer')

module.exports = {
  name: 'import',
  summary: 'append events from ndjson, or copy a whole store (a LevelDB folder of 1.x, say)',
  usage: ['import DB [FILE] [--schema FILE] [--resume]', 'import DB FOLDER'],
  description: [
    'From a file or standard input: every line of {"name":…,"payload":…} is appended as a new event. A line that is no event is reported with its number and the rest goes on; the exit code tells. Reading goes no faster than the store writes.',
    'From a folder: the whole store in it, embedded or LevelDB of 1.x, is copied with its logs, numbers and keys as they are. What DB has already is left alone, so a copy that was cut off is simply run again. A DB that does not exist yet becomes an embedded store.',
    'An import of lines that was cut off (kill -9, power) goes on with --resume: lines that are stored are passed over, so that none is lost and none doubled. The input must be the same from its beginning.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }, { name: 'SOURCE', value: 'FILE', optional: true }],
  options: {
    schema: { type: 'string', value: 'FILE', help: 'the .proto file, to encode payloads' },
    resume: { type: 'boolean', help: 'the input was begun before; pass over the lines that are stored' },
    as: { type: 'string', value: 'NAME', help: 'the name under which the store remembers where this input began (import)' },
    bytes: OPTIONS.bytes,
    json: { type: 'boolean', help: 'a summary as one JSON object' }
  },
  exits: [['1', 'lines were refused; all others are stored']],
  examples: [
    ['A store of 1.x into an embedded one', 'hypem import new-db old-leveldb-folder'],
    ['Lines', 'hypem import db events.ndjson --schema messages.proto']
  ],
  async run (context, values, [db, source]) {
    if (source !== undefined && source !== '-' && statSync(source).isDirectory()) return copy(context, values, db, source)
    const hyper = await context.open(db, context.schema(values.schema))
    const feed = new Feed({
      hyper,
      read: lineReader(context.schema(values.schema), values.bytes),
      refused: (number, error) => context.warn(`hypem: line ${number}: ${error.message.replace(/\s*\n\s*/g, ' ')}`),
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
  const added = await transfer(context, source, hyper)
  if (values.json) await context.print(JSON.stringify({ rows: added }) + '\n')
  else context.warn(`${counted(added, 'event')} copied`)
}

/** Progress in bytes: of a file the size is known. */
function progress (context, source) {
  const bar = context.progress('importing', size)
  const total = source === undefined || source === '-' ? undefined : statSync(source).size
  return { progress: (bytes) => bar.update(bytes, total) }
}
