'use strict'

const { badStorePath } = require('../errors')

/**
 * Decides from the first argument of the constructor where the log is kept: in a folder, in memory, or in the caller's
 * database.
 *
 * @param {object} native the addon
 * @param {string | object | null | undefined} db
 * @param {{ keepOpen?: boolean }} [how] `keepOpen`: whether the caller's database stays open; may be set later
 * @returns {{ path?: string, level?: object }} both undefined for memory
 */
function resolveStore (native, db, how) {
  if (db === undefined || db === null || db === ':memory:') return {}
  if (typeof db === 'string') {
    if (db === '' || db.includes('\0')) throw badStorePath(db)
    return { path: db }
  }
  // Loaded on demand, because only databases need it.
  const { levelHandle } = require('./level/handle')
  return { level: levelHandle(native, db, how) }
}

module.exports = resolveStore
