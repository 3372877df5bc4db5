'use strict'

/** Helpers of tests that run on each kind of store. */

const path = require('node:path')
const { createRequire } = require('node:module')

const memdb = createRequire(path.join(__dirname, '..', 'oracle', 'package.json'))('memdb')
const { ClassicLevel } = createRequire(path.join(__dirname, '..', 'stores', 'package.json'))('classic-level-3')
const { HyperEmitter, SCHEMA, folder } = require('./helpers')

/** Names of the kinds, and what makes a store of each. */
const STORES = [['memory', () => undefined], ['a folder', () => path.join(folder(), 'store')], ['a Level database', () => memdb()]]

/** What opens a store that keeps everything, in a folder. */
const OPEN = { 'a folder': (dir) => dir, 'a Level database': (dir) => new ClassicLevel(dir) }

/** An emitter that is closed after the test. */
function make (t, db, opts) {
  const emitter = new HyperEmitter(db, SCHEMA, opts)
  t.after(() => emitter.close())
  return emitter
}

/** Everything that a reader gives. */
async function all (reader) {
  const entries = []
  for await (const entry of reader) entries.push(entry)
  return entries
}

module.exports = { OPEN, STORES, all, make }
