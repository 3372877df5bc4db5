'use strict'

const { badStorePath } = require('../errors')

/**
 * Where the log is kept, from the first argument of the constructor: a folder, memory, or the caller's own database.
 *
 * @param {object} native the addon
 * @param {string | object | null | undefined} db
 * @param {{ keepOpen?: boolean }} [how] `keepOpen`: a database of the caller's is not closed; may be set later
 * @returns {{ path?: string, level?: object }} neither for memory
 */
function resolveStore (native, db, how) {
  if (db === undefined || db === null || db === ':memory:') return {}
  if (typeof db === 'string') {
    if (db === '' || db.includes('\0')) throw badStorePath(db)
    return { path: db }
  }
  // Only those who bring a database need this.
  const { levelHandle } = require('./level/handle')
  return { level: levelHandle(native, db, how) }
}

module.exports = resolveStore
