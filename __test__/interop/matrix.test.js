'use strict'

// One link between this module and the real 1.3.0: role x history x store. In every cell events appear before the link,
// while the catch-up
// runs, and after it, on both sides.

const { test } = require('node:test')
const { start, converge, range } = require('./cluster')

const HISTORY = 40
const EACH = 30

const histories = {
  none: { old: 0, new: 0 },
  'on the old side': { old: HISTORY, new: 0 },
  'on the new side': { old: 0, new: HISTORY },
  'on both sides': { old: HISTORY, new: HISTORY },
  // Both stores begin with the same events, written by two 1.x processes independently: equal nodes under two logs.
  deduplicated: { old: 0, new: 0, past: HISTORY }
}

const stores = { memory: { old: 'memdb', new: 'memory' }, LevelDB: { old: 'leveldb', new: 'leveldb' } }

for (const dialler of ['old', 'new']) {
  for (const [store, kinds] of Object.entries(stores)) {
    for (const [history, { past, ...counts }] of Object.entries(histories)) {
      test(`${dialler} dials, ${store}, history ${history}`, { timeout: 180000 }, async (t) => {
        const options = (which) => ({
          which,
          // Our memory store cannot be opened by 1.x, which is to write the history.
          store: past && kinds[which] === 'memory' ? 'memdb' : kinds[which],
          past: past && { tag: 'past', count: past }
        })
        const [older, newer] = await Promise.all([start(t, 'old', options('old')), start(t, 'new', options('new'))])
        await Promise.all([older.emit(1, counts.old), newer.emit(1, counts.new)])
        const [from, to] = dialler === 'old' ? [older, newer] : [newer, older]
        await to.listen()
        const during = [older.emit(counts.old + 1, counts.old + EACH), newer.emit(counts.new + 1, counts.new + EACH)]
        await from.connect(to)
        await Promise.all(during)
        const total = { old: counts.old + EACH, new: counts.new + EACH }
        const all = () => [...range('past', past || 0), ...range('old', total.old), ...range('new', total.new)]
        await converge([older, newer], all())
        for (const [peer, name] of [[older, 'old'], [newer, 'new']]) {
          await peer.emit(total[name] + 1, total[name] + EACH)
          total[name] += EACH
        }
        await converge([older, newer], all())
      })
    }
  }
}
