'use strict'

const { forJson } = require('../escape')
const { counted, size } = require('../format')

module.exports = {
  name: 'backup',
  summary: 'back up a store, also while an application uses it',
  usage: ['backup DB FOLDER [--copy] [--json]'],
  description: [
    'Makes a backup of the store in FOLDER, up to the last event that is stored when it begins. If FOLDER holds a backup of this store, it is brought up to date: only what is new is added. If the command is interrupted, FOLDER still holds the last backup that was finished.',
    'Files that do not change any more are linked if FOLDER is on the same file system. Then the backup takes little space, and protects from mistakes, but not from a broken disk: copy FOLDER to another machine, or put it on another disk. A backup is not a store: hypem restore makes one of it.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }, { name: 'FOLDER', value: 'DIR' }],
  options: {
    copy: { type: 'boolean', help: 'copy files even if they could be linked' },
    json: { type: 'boolean', help: 'print one JSON object: change, digest, bytes, added' }
  },
  examples: [['Every night', 'hypem backup db /backup/db']],
  async run (context, { copy, json }, [db, folder]) {
    const hyper = await context.open(db, null, { mustExist: true, readOnly: true })
    const bar = context.onProgress('backing up')
    const made = await context.or(hyper.backup(folder, { copy, onProgress: bar.onProgress }))
    bar.end()
    await context.print(json ? forJson(made, 2) + '\n' : `${counted(made.change, 'event')}, ${size(made.bytes)}, ${size(made.added)} of it new\ndigest ${made.digest}\n`)
  }
}
