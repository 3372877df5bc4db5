'use strict'

// Five processes, alternately old and new, in a chain and in a ring. They are killed and restarted on their stores while events
// are emitted.

const { test } = require('node:test')
const { start, converge, range } = require('./cluster')

const KINDS = ['old', 'new', 'old', 'new', 'old']
const EACH = 20

for (const [shape, ring] of [['chain', false], ['ring', true]]) {
  test(`${shape} of five, with kills`, { timeout: 300000 }, async (t) => {
    const peers = await Promise.all(KINDS.map((which, i) => {
      return start(t, `p${i}`, { which, store: which === 'old' || i === 1 ? 'leveldb' : 'embedded' })
    }))
    const neighbours = peers.map((_, i) => (i + 1 < peers.length ? [i, i + 1] : [i, 0])).slice(0, ring ? undefined : -1)
    const dial = ([from, to]) => peers[from].connect(peers[to])
    const emitted = peers.map(() => 0)
    const emit = async (i) => {
      await peers[i].emit(emitted[i] + 1, emitted[i] + EACH)
      emitted[i] += EACH
    }
    const all = () => peers.flatMap((peer, i) => range(peer.name, emitted[i]))

    for (const peer of peers) await peer.listen()
    await Promise.all(peers.map((_, i) => emit(i)))
    await Promise.all(neighbours.map(dial))
    await converge(peers, all())
    await Promise.all(peers.map((_, i) => emit(i)))
    await converge(peers, all())

    // Kills one of each kind while events go on.
    for (const victim of [1, 2]) {
      const others = peers.map((_, i) => i).filter((i) => i !== victim)
      const busy = others.map(emit)
      await peers[victim].kill()
      await Promise.all(busy)
      await peers[victim].start()
      await peers[victim].listen()
      await Promise.all(neighbours.filter((pair) => pair.includes(victim)).map(dial))
      await emit(victim)
      await converge(peers, all())
    }
  })
}
