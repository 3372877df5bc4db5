'use strict'

const { forJson, forTerminal } = require('../escape')
const { counted } = require('../format')

module.exports = {
  name: 'restore',
  summary: 'make a store of a backup',
  usage: ['restore BACKUP DB [--json]'],
  description: [
    'Checks the backup that hypem backup has made, and copies it to DB, a folder that is missing or empty. If anything in it is not what was written, the command fails, and DB cannot be opened as a store. If the command is interrupted, run it again.',
    'The restored store has the same events, positions and subscriptions, and goes on in a log of its own. So it may be used even if the original is still in use, or if peers have events of the original that are newer than the backup: they come from the peers. An emitter with an identity keeps its key.'
  ],
  operands: [{ name: 'BACKUP', value: 'DIR' }, { name: 'DB', value: 'DIR' }],
  options: {
    json: { type: 'boolean', help: 'print one JSON object: change, digest, log' }
  },
  examples: [['After the disk has failed', 'hypem restore /backup/db db']],
  async run (context, { json }, [backup, db]) {
    const bar = context.onProgress('restoring')
    const made = await context.or(context.HyperEmitter.restore(backup, db, bar))
    bar.end()
    await context.print(json ? forJson(made, 2) + '\n' : `${counted(made.change, 'event')}\ndigest ${made.digest}\ngoes on in log ${forTerminal(made.log)}\n`)
  }
}
