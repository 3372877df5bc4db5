'use strict'

/**
 * Tests for every emitter, whatever its store: `anyStore(name, open)`. If a test's name says "1.x", it is about a difference
 * from 1.x.
 *
 * @callback Open makes a store that is empty, and gone after the test
 * @param {import('node:test').TestContext} t
 * @returns {Promise<{ db: *, again?: () => *, keep?: () => void }>} `db` for the constructor; `again` returns what to pass to
 *   open the same store again; `keep` is called before the first emitter closes, if there will be a second
 *
 * @typedef {object} Stores what the files of this folder get
 * @property {Open} open
 * @property {(t: import('node:test').TestContext, schema?: *, opts?: object) => Promise<HyperEmitter>} make an emitter on a fresh
 *   store, closed after the test
 */

const { describe } = require('node:test')

const { HyperEmitter, SCHEMA } = require('../helpers')

const THEMES = {
  'making an emitter': require('./construct'),
  'emit and append': require('./emit'),
  listeners: require('./listeners'),
  'back-pressure': require('./back-pressure'),
  codecs: require('./codecs'),
  read: require('./read'),
  'the log': require('./log'),
  stream: require('./stream'),
  close: require('./close'),
  'stores that outlive their emitter': require('./reopen')
}

function anyStore (name, open) {
  async function make (t, schema = SCHEMA, opts = undefined) {
    const store = await open(t)
    const emitter = new HyperEmitter(store.db, schema, opts)
    t.after(() => emitter.close())
    return emitter
  }

  for (const [theme, tests] of Object.entries(THEMES)) {
    describe(`${theme}, on ${name}`, () => tests({ open, make }))
  }
}

module.exports = anyStore
