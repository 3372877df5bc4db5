'use strict'

const { badArgument } = require('../errors')

/**
 * Where the log is kept, from the first argument of the constructor: a folder, memory, or the caller's own database.
 *
 * @param {object} native the addon
 * @param {string | object | null | undefined} db
 * @param {{ keepOpen?: boolean }} [how] `keepOpen`: a database of the caller's is not closed; may be set later
 * @returns {{ path?: string, port?: object }}
 */
function placeOf (native, db, how) {
  if (db === undefined || db === null || db === ':memory:') return {}
  if (typeof db === 'string') {
    if (db === '' || db.includes('\0')) throw badArgument(`the path of a store must name a folder, not ${JSON.stringify(db)}`)
    return { path: db }
  }
  // Only those who bring a database need this.
  const { levelPort } = require('./level/handle')
  return { port: levelPort(native, db, how) }
}

module.exports = placeOf
