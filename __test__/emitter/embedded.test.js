'use strict'

const path = require('node:path')
const { folder } = require('./helpers')

require('./abstract-emitter')('the embedded store', async (t) => {
  const db = path.join(folder(t), 'db')
  return { db, again: () => db }
})
