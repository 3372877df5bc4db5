'use strict'

const { readFileSync } = require('node:fs')
const { Failure, describe } = require('./exit')

/** Options that say whom an emitter trusts. */
const TRUST = {
  identity: { type: 'string', value: 'FILE', help: 'the private key of this emitter (hypem keygen makes one): links are encrypted, and peers prove who they are' },
  peers: { type: 'string', value: 'FILE', help: 'who may connect: one line per public key, followed by read or write. SIGHUP makes hypem read the file again' },
  'secret-file': { type: 'string', value: 'FILE', help: 'the secret of a group (hypem keygen --secret makes one): a peer that does not know it gets no answer' },
  network: { type: 'string', value: 'NAME', help: 'the name of the network: emitters of another network are refused' },
  plain: { type: 'string', value: 'RIGHT', choices: ['read', 'write', 'no'], help: 'what peers without encryption, including 1.x peers, may do; default with --identity: no' }
}

/**
 * The options for the constructor.
 * @param {Record<string, any>} values of the options above
 */
function trustOptions ({ identity, peers, 'secret-file': secret, network, plain }) {
  return {
    ...(identity !== undefined && { identity }),
    ...(peers !== undefined && { peers: readPeers(peers) }),
    ...(secret !== undefined && { secret: read(secret).trim() }),
    ...(network !== undefined && { network }),
    ...(plain !== undefined && { plain: plain === 'no' ? false : plain })
  }
}

/**
 * Lets SIGHUP read the file of peers again. If the file cannot be read or is invalid, nothing changes.
 * @param {import('./context').Context} context
 * @param {import('../..')} hyper
 * @param {Record<string, any>} values
 */
function followPeers (context, hyper, { peers }) {
  if (peers === undefined) return
  context.onHangUp(() => {
    try {
      hyper.setPeers(readPeers(peers))
      context.warn(`${peers} was read again`)
    } catch (error) {
      context.warn(`${describe(error)}; nothing was changed`)
    }
  })
}

/** Codes of links that are refused because of who the peer is, not because of what it sends. */
const REFUSALS = ['ERR_HYPER_INSECURE', 'ERR_HYPER_NETWORK', 'ERR_HYPER_RIGHTS']

/** Reports refused peers on standard error: each cause at most once in ten minutes per address, as `status` does. */
function tellRefusals (context, hyper) {
  hyper.status.on('peerError', (error) => {
    if (REFUSALS.includes(error.code)) context.warn(`a peer was refused: ${describe(error)}`)
  })
}

/** Reads a file with `key right` on each line; `#` begins a comment. */
function readPeers (file) {
  const peers = {}
  read(file).split('\n').forEach((line, index) => {
    const words = line.replace(/#.*/, '').trim().split(/\s+/)
    if (words[0] === '') return
    const [key, right] = words
    if (words.length !== 2 || !['read', 'write'].includes(right)) {
      throw new Failure(`${file}, line ${index + 1}: it must be a public key and read or write, not '${line.trim()}'`)
    }
    peers[key] = right
  })
  return peers
}

function read (file) {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Failure(`${file} cannot be read: ${error.message}`)
  }
}

module.exports = { TRUST, trustOptions, followPeers, tellRefusals }
