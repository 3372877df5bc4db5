'use strict'

const { Failure } = require('./exit')
const { kindOf, openLevel } = require('./store')

/**
 * Copies a whole store into an open one: logs, seqs, keys and order stay as they are; what is there already is skipped, so an
 * interrupted copy can simply be repeated.
 * @param {import('./context').Context} context
 * @param {string} path of the store to copy
 * @param {import('../..')} hyper
 * @param {{ identity?: boolean }} [how] `identity`: the id, known peers and announced address, too, where there are none yet
 * @returns {Promise<number>} how many rows were new
 */
async function transfer (context, path, hyper, { identity = false } = {}) {
  const kind = kindOf(path)
  if (kind === 'new') throw new Failure(`there is no store at ${path}`)
  const db = kind === 'level' ? await openLevel(path) : null
  if (db) context.atEnd(() => db.close())
  const bar = context.onProgress('copying')
  try {
    return await context.or(hyper.importFrom(db ?? path, { onProgress: bar.onProgress, identity }))
  } finally {
    bar.end()
  }
}

module.exports = { transfer }
