'use strict'

// Which kinds of emitters replicate with each other, and which are refused with which message: {1.3.0, 2.x, 2.x with an
// identity} dials {the same}, where emitters with an identity allow plain links or not. The 1.3.0 is the original.

const assert = require('node:assert/strict')
const { generateKeyPairSync } = require('node:crypto')
const { describe, test } = require('node:test')

const { publicKeyOf } = require('../../lib/trust/keys')
const { start, converge, range } = require('./cluster')

const LIMIT = { timeout: 120000 }

/** Events that each side emits before the link, and again after it. */
const EACH = 20

const newKey = () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })

/** What a refused side says, as a pattern of `status`; 1.3.0 has no words of ours. */
const NOT_ALLOWED = /the option plain does not allow/
const NO_IDENTITY = /this emitter has no identity/
const PLAIN_ANSWER = /answers in plain text/

/**
 * The dialling kind, the listening kind, whether emitters with an identity allow plain links, and the result: how the link is
 * secured (as the 2.x side reports), or the messages of the dialler and the listener.
 */
const CELLS = [
  ['old', 'old', false, undefined],
  ['old', 'plain', false, 'plain'],
  ['old', 'secured', false, { dialler: undefined, listener: NOT_ALLOWED }],
  ['old', 'secured', true, 'plain'],
  ['plain', 'old', false, 'plain'],
  ['plain', 'plain', false, 'plain'],
  ['plain', 'secured', false, { dialler: NOT_ALLOWED, listener: NOT_ALLOWED }],
  ['plain', 'secured', true, 'plain'],
  ['secured', 'old', false, { dialler: PLAIN_ANSWER, listener: undefined }],
  ['secured', 'old', true, 'plain'],
  ['secured', 'plain', false, { dialler: PLAIN_ANSWER, listener: NO_IDENTITY }],
  ['secured', 'plain', true, 'plain'],
  ['secured', 'secured', false, 'noise'],
  ['secured', 'secured', true, 'noise']
]

/** A peer of this kind on a store in memory. */
function peerOf (t, kind, name, { identity, others, allowed }) {
  if (kind === 'old') return start(t, name, { which: 'old', store: 'memdb' })
  // An emitter that admits plain peers also stores their logs, which have no seals.
  const trust = kind === 'plain' ? {} : { identity, peers: Object.fromEntries(others.map((key) => [key, 'write'])), plain: allowed, unsigned: allowed ? 'accept' : 'refuse' }
  return start(t, name, { which: 'new', store: 'memory', trust })
}

async function statuses (peer) {
  return (await peer.call('report')).statuses
}

/** Waits until `status` of a peer has said this. */
async function says (peer, words) {
  await peer.call('says', { words: words.source })
  return (await statuses(peer)).find((status) => words.test(status))
}

describe('an identity among others', () => {
  for (const [dials, listens, allowed, expected] of CELLS) {
    const replicates = typeof expected !== 'object'
    test(`${dials} dials ${listens}, plain links ${allowed ? '' : 'not '}allowed: ${replicates ? expected ?? 'replicates' : 'refused'}`, LIMIT, async (t) => {
      const [one, two] = [newKey(), newKey()]
      const others = [one, two].map((key) => publicKeyOf(key))
      const [from, to] = await Promise.all([
        peerOf(t, dials, 'from', { identity: one, others, allowed }),
        peerOf(t, listens, 'to', { identity: two, others, allowed })
      ])
      await Promise.all([from.emit(1, EACH), to.emit(1, EACH)])
      await to.listen()
      // Between two identities nobody has to ask for encryption.
      const how = dials === 'secured' && listens !== 'secured' && allowed ? { plain: true } : undefined
      const connected = from.connect(to, how).then(() => undefined, (error) => error.message)
      if (replicates) {
        assert.equal(await connected, undefined)
        await converge([from, to], [...range('from', EACH), ...range('to', EACH)])
        await Promise.all([from.emit(EACH + 1, 2 * EACH), to.emit(EACH + 1, 2 * EACH)])
        await converge([from, to], [...range('from', 2 * EACH), ...range('to', 2 * EACH)])
        for (const peer of [from, to].filter(({ options }) => options.which === 'new')) {
          assert.deepEqual((await peer.call('stats')).peers.map(({ security }) => security), [expected])
        }
        return
      }
      // 1.3.0 takes a TCP connection for a link; all that it can be told is that it ends.
      if (dials !== 'old') assert.match(await connected, expected.dialler)
      const words = [[from, expected.dialler], [to, expected.listener]]
      for (const [peer, pattern] of words) if (pattern) t.diagnostic(`${peer.name}: ${await says(peer, pattern)}`)
      for (const peer of [from, to]) {
        const { stored } = await peer.call('report')
        assert.deepEqual(Object.keys(stored), [peer.name], `${peer.name} has nothing but its own`)
        assert.equal(peer.child.exitCode, null, `${peer.name} lives`)
      }
      if (listens !== 'old') assert.ok((await to.call('stats')).refusals.insecure >= 1)
    })
  }
})
