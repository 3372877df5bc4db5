'use strict'

const native = require('../native/addon')
const { badAuthors, badPins, badRevoked, badUnsigned } = require('../errors')
const { nativePeers } = require('./rights')

const SEALED = /^(ed25519-[a-z2-7]{52})\.[a-z2-7]{8}$/

/** The public key of a sealed log's owner; undefined if the log is not sealed. */
function authorOf (log) {
  return log.startsWith('ed25519-') ? SEALED.exec(log)?.[1] : undefined
}

/**
 * The options about whose logs are stored, in the native half's form.
 *
 * @param {object} options `authors`, `unsigned`, `revoked`, and for `authors: 'peers'` the option `peers`
 * @returns {object | undefined} undefined if none of the three is given
 */
function nativeLogs ({ authors, unsigned, revoked, peers }) {
  if ([authors, unsigned, revoked].every((each) => each === undefined)) return undefined
  return { authors: nativeAuthors(authors, peers), unsigned: nativeUnsigned(unsigned), revoked: nativeRevoked(revoked) }
}

function nativeAuthors (authors, peers) {
  if (authors === undefined || authors === 'all') return undefined
  const listed = authors === 'peers' ? nativePeers(peers).peers?.map(({ key }) => key) : authors
  if (!Array.isArray(listed)) throw badAuthors(authors)
  listed.forEach((key) => native.checkPublicKey(key))
  return listed
}

function nativeUnsigned (unsigned) {
  if (unsigned === undefined || unsigned === 'accept' || unsigned === 'refuse') return unsigned
  if (unsigned === null || typeof unsigned !== 'object') throw badUnsigned(unsigned)
  return nativePins(unsigned, 'unsigned')
}

/**
 * Pins in the native half's form, from a map of log ids to `{ seq, digest }`, or a list of `{ log, seq, digest }` like
 * `stats().logs`.
 */
function nativePins (pins, where) {
  const listed = Array.isArray(pins) ? pins : Object.entries(pins).map(([log, pin]) => ({ log, ...pin }))
  return listed.map(({ log, seq, digest }) => {
    if (typeof log !== 'string' || !Number.isSafeInteger(seq) || typeof digest !== 'string') throw badPins(where)
    return { log, seq, digest }
  })
}

function nativeRevoked (revoked) {
  if (revoked === undefined) return undefined
  if (revoked === null || typeof revoked !== 'object') throw badRevoked(revoked)
  return Object.entries(revoked).map(([key, logs]) => {
    native.checkPublicKey(key)
    if (logs === true) return { key }
    if (logs === null || typeof logs !== 'object') throw badRevoked(logs)
    return { key, logs: nativePins(logs, 'revoked') }
  })
}

module.exports = { authorOf, nativeLogs }
