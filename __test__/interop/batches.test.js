'use strict'

// Two processes of this module with 1.3.0 between them, which relays tags and batches without knowing them.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { start, converge, range } = require('./cluster')

const SIZE = 20
const ROUNDS = 4
const BATCHES = 10

/** Throws if events of a batch are shown without the rest, or with something between. */
function checkWhole (shown) {
  for (let at = 0; at < shown.length; at += SIZE) {
    const [tag, first] = shown[at]
    assert.equal(first % SIZE, 1, `a batch begins with ${tag}/${first}`)
    for (let i = 0; i < SIZE; i++) assert.deepEqual(shown[at + i], [tag, first + i])
  }
}

for (const dialler of ['old', 'new']) {
  test(`1.3.0 relays tagged batches, and is killed meanwhile: they are whole at both ends (${dialler} dials)`, { timeout: 240000 }, async (t) => {
    const [left, right] = await Promise.all([
      start(t, 'left', { which: 'new', store: 'embedded' }),
      start(t, 'right', { which: 'new', store: 'memory' })
    ])
    const old = await start(t, 'old', { which: 'old', store: 'leveldb' })
    for (const peer of [left, right]) await peer.listen()
    const link = async () => {
      await old.listen()
      const ends = [left, right]
      if (dialler === 'old') await Promise.all(ends.map((peer) => old.connect(peer)))
      else await Promise.all(ends.map((peer) => peer.connect(old)))
    }
    await link()
    for (let round = 0; round < ROUNDS; round++) {
      const now = { emitting: true }
      const events = { from: round * BATCHES * SIZE + 1, count: BATCHES, size: SIZE }
      const emitted = Promise.all([left, right].map((peer) => peer.call('batches', { tag: peer.name, ...events }))).then(() => { now.emitting = false })
      for (let looks = 0; now.emitting || looks < 5; looks++) {
        for (const peer of [left, right]) checkWhole(await peer.call('shown'))
        if (looks === 2 && round < ROUNDS - 1) {
          await old.kill()
          await old.start()
          await link()
        }
      }
      await emitted
    }
    const all = [left, right].flatMap((peer) => range(peer.name, ROUNDS * BATCHES * SIZE))
    await converge([left, old, right], all)
    for (const peer of [left, right]) {
      checkWhole(await peer.call('shown'))
      for (const tag of ['left', 'right']) {
        assert.deepEqual(await peer.call('tagged', { tag, first: 41 }), Array.from({ length: SIZE }, (_, i) => 41 + i))
      }
    }
  })
}
