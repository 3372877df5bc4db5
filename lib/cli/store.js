'use strict'

const { readdirSync } = require('node:fs')
const { lockedDatabase } = require('../errors')
const { Failure } = require('./exit')
const { load } = require('./packages')

/**
 * What is at a path: `level` (a LevelDB folder), `embedded` (any other folder; opening it shows whether it is a store), or `new`
 * (nothing, or an empty folder).
 * @param {string} path
 * @returns {'level'|'embedded'|'new'}
 */
function kindOf (path) {
  let names
  try {
    names = readdirSync(path)
  } catch (error) {
    if (error.code === 'ENOENT') return 'new'
    throw error.code === 'ENOTDIR' ? new Failure(`${path} is a file, not the folder of a store`) : error
  }
  if (names.length === 0) return 'new'
  return names.includes('CURRENT') && names.some((name) => /^MANIFEST-\d+$/.test(name)) ? 'level' : 'embedded'
}

/**
 * A LevelDB folder as a database object.
 * @param {string} path
 * @param {{create?: boolean}} [options]
 * @returns {Promise<object>} open
 */
async function openLevel (path, { create = false } = {}) {
  const { ClassicLevel } = await load('classic-level', `${path} is a LevelDB folder of hyperemitter 1.x, and opening it`)
  const db = new ClassicLevel(path, { createIfMissing: create })
  try {
    await db.open()
  } catch (error) {
    const locked = error.cause?.code === 'LEVEL_LOCKED'
    if (locked) throw lockedDatabase(path)
    throw new Failure(`${path} cannot be opened: ${error.cause?.message ?? error.message}`)
  }
  return db
}

/**
 * What to pass to an emitter for `--db PATH`: a database object for a LevelDB folder, else the path of an embedded store;
 * undefined (memory) without a path.
 * @param {string|undefined} path
 * @param {{mustExist?: boolean}} [options]
 */
async function storeAt (path, { mustExist = false } = {}) {
  if (path === undefined) return undefined
  const kind = kindOf(path)
  if (kind === 'new' && mustExist) throw new Failure(`there is no store at ${path}`)
  return kind === 'level' ? openLevel(path) : path
}

module.exports = { kindOf, openLevel, storeAt }
