'use strict'

// better-sqlite3: `window` inserts to a transaction, WAL, synchronous=FULL.

const path = require('node:path')
const Database = require('better-sqlite3')
const { options, done, now, folder } = require('../lib/modules')

const { window = 1024, ms = 3000, bytes = 120 } = options()
const db = new Database(path.join(folder(), 'db'))
db.pragma('journal_mode = WAL')
db.pragma('synchronous = FULL')
db.exec('CREATE TABLE events (change INTEGER PRIMARY KEY, value BLOB NOT NULL)')
const insert = db.prepare('INSERT INTO events (value) VALUES (?)')
const value = Buffer.alloc(bytes, 'x')
const group = db.transaction(() => { for (let i = 0; i < window; i++) insert.run(value) })
let count = 0
const started = now()
while (now() - started < ms) {
  group()
  count += window
}
done({ rate: count / (now() - started) * 1000 })
