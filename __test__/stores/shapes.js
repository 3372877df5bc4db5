'use strict'

/**
 * Every kind of Level store that users hand us, from 2013 to today. A kind that cannot be installed or loaded fails
 * the run: `open` throws.
 */

const { mkdirSync } = require('node:fs')
const path = require('node:path')

/** A database in the folder, made when the store needs one. */
const at = (folder) => {
  mkdirSync(folder, { recursive: true })
  return path.join(folder, 'db')
}

/** The databases that contain sublevels: closing a sublevel leaves them open. */
const parents = new WeakMap()

function sub (parent, make) {
  const sublevel = make(parent)
  parents.set(sublevel, parent)
  return sublevel
}

/** Closes the database that contained a closed store, so that its folder can be opened again. */
async function release (db) {
  const parent = parents.get(db)
  if (parent) await parent.close()
}

/** Whether level-rocksdb runs here: the binary of its last release crashes Node.js 22 and later when it opens a database. */
const rocksdb = Number.parseInt(process.versions.node) < 21

const json = { keyEncoding: 'json', valueEncoding: 'json' }

/** Disk stores: opened twice on the same folder they hold the same. */
const disk = {
  'level 5': (folder) => require('level-5')(at(folder)),
  'level 6': (folder) => require('level-6')(at(folder)),
  'level 7': (folder) => require('level-7')(at(folder)),
  'level 7, json': (folder) => require('level-7')(at(folder), { valueEncoding: 'json' }),
  ...rocksdb && { 'level-rocksdb 5': (folder) => require('./rocksdb/node_modules/level-rocksdb')(at(folder)) },
  'subleveldown 4 in level 6': (folder) => sub(require('level-6')(at(folder)), (db) => require('subleveldown-4')(db, 'events')),
  'subleveldown 6 in level 7': (folder) => sub(require('level-7')(at(folder)), (db) => require('subleveldown-6')(db, 'events')),
  'level-sublevel 6 in level 7': (folder) => sub(require('level-7')(at(folder)), (db) => require('level-sublevel-6')(db).sublevel('events')),
  'level 8': (folder) => new (require('level-8').Level)(at(folder)),
  'classic-level 1': (folder) => new (require('classic-level-1').ClassicLevel)(at(folder)),
  'rave-level 1': (folder) => new (require('rave-level-1').RaveLevel)(at(folder)),
  'sublevel of level 8': (folder) => sub(new (require('level-8').Level)(at(folder)), (db) => db.sublevel('events')),
  'level 9': (folder) => new (require('level-9').Level)(at(folder)),
  'level 10': (folder) => new (require('level-10').Level)(at(folder)),
  'level 10, json': (folder) => new (require('level-10').Level)(at(folder), json),
  'classic-level 2': (folder) => new (require('classic-level-2').ClassicLevel)(at(folder)),
  'classic-level 3': (folder) => new (require('classic-level-3').ClassicLevel)(at(folder)),
  'json sublevel of level 10': (folder) => sub(new (require('level-10').Level)(at(folder)), (db) => db.sublevel('events', json))
}

/** Memory stores: what they hold goes with the object. */
const memory = {
  'memdb 0.2': () => require('memdb-0')(),
  'memdb 1': () => require('memdb-1')(),
  'memdb 1, json': () => require('memdb-1')({ valueEncoding: 'json' }),
  'levelup 1 over memdown 1': () => require('levelup-1')('', { db: (location) => new (require('memdown-1'))(location) }),
  'levelup 2 over memdown 6': () => require('levelup-2')(require('encoding-down-7')(require('memdown-6')())),
  'levelup 5 over memdown 6': () => require('levelup-5')(require('encoding-down-7')(require('memdown-6')())),
  'level-mem 3': () => require('level-mem-3')(),
  'level-mem 5': () => require('level-mem-5')(),
  'level-mem 6': () => require('level-mem-6')(),
  'memory-level 1': () => new (require('memory-level-1').MemoryLevel)(),
  'many-level 2': () => manyLevel(),
  'memory-level 2': () => new (require('memory-level-2').MemoryLevel)(),
  'memory-level 3': () => new (require('memory-level-3').MemoryLevel)(),
  'memory-level 3, view': () => new (require('memory-level-3').MemoryLevel)({ storeEncoding: 'view' }),
  'memdown 1, raw': () => new (require('memdown-1'))('raw-' + process.hrtime.bigint()),
  'memdown 6, raw': () => require('memdown-6')()
}

/** A client, like one in another process, of a host in this process. */
function manyLevel () {
  const { ManyLevelGuest, ManyLevelHost } = require('many-level-2')
  const guest = new ManyLevelGuest()
  const host = new ManyLevelHost(new (require('memory-level-1').MemoryLevel)())
  const remote = guest.createRpcStream()
  remote.pipe(host.createRpcStream()).pipe(remote)
  return guest
}

module.exports = { disk, memory, all: { ...disk, ...memory }, rocksdb, release }
