'use strict'

const path = require('node:path')
const { createRequire } = require('node:module')

const memdb = createRequire(path.join(__dirname, '..', 'oracle', 'package.json'))('memdb')

require('./abstract-emitter')('memdb, a levelup database of the caller', async () => {
  const db = memdb()
  // Closing the emitter closes the database, and memdb then forgets everything.
  const keep = () => { db.close = (callback) => callback() }
  return { db, keep, again: () => db }
})
