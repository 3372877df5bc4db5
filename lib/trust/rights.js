'use strict'

const { X509Certificate } = require('node:crypto')
const { isIP } = require('node:net')

const native = require('../native/addon')
const { badPeers, badPlain, badRight, networkNotString } = require('../errors')

/** What a peer may do here. `'write'` includes reading. */
const RIGHTS = ['read', 'write']

/** Throws unless `right` is a right. `where` names the option. */
function checkRight (right, where) {
  if (!RIGHTS.includes(right)) throw badRight(where, right)
  return right
}

/**
 * The `peers` option for the native half: a list, or `asks`, which makes it ask about each peer.
 *
 * @param {object | Map<string, string> | Function | undefined} peers public key to right, or `(peer) => right`
 * @returns {{ peers?: { key: string, right: string }[], asks?: boolean }}
 */
function nativePeers (peers) {
  if (peers === undefined) return {}
  if (typeof peers === 'function') return { asks: true }
  if (peers === null || typeof peers !== 'object') throw badPeers(peers)
  const entries = peers instanceof Map ? [...peers] : Object.entries(peers)
  for (const [key, right] of entries) {
    if (!isCertificateName(key)) native.checkPublicKey(key)
    checkRight(right, `peers['${key}']`)
  }
  return { peers: entries.filter(([key]) => !isCertificateName(key)).map(([key, right]) => ({ key, right })) }
}

/** Whether a key of `peers` names a TLS certificate: by its SHA-256 fingerprint, or by a host name. */
function isCertificateName (key) {
  return key.startsWith('sha256:') || key.startsWith('dns:')
}

/** Which names of a certificate count: exact host names of its subjectAltName, no wildcards. */
const AS_NAMED = { subject: 'never', wildcards: false, partialWildcards: false }

/** Whether `peers` can decide about certificates without an identity: it is a function, or a map of names of certificates. */
function isForCertificates (peers) {
  if (typeof peers === 'function') return true
  if (peers === null || typeof peers !== 'object') return false
  const keys = peers instanceof Map ? [...peers.keys()] : Object.keys(peers)
  return keys.length > 0 && keys.every(isCertificateName)
}

/**
 * The right that a map of peers gives to the owner of this certificate.
 *
 * @param {object | Map<string, string>} peers
 * @param {import('node:tls').PeerCertificate} certificate
 * @returns {string | undefined}
 */
function rightOfCertificate (peers, certificate) {
  const x509 = new X509Certificate(certificate.raw)
  const fingerprint = `sha256:${x509.fingerprint256.replaceAll(':', '').toLowerCase()}`
  const rights = (peers instanceof Map ? [...peers] : Object.entries(peers))
    .filter(([key]) => key === fingerprint || (key.startsWith('dns:') && x509.checkHost(key.slice(4), AS_NAMED) !== undefined))
    .map(([, right]) => right)
  return rights.includes('write') ? 'write' : rights[0]
}

/**
 * The `plain` option for the native half.
 *
 * @param {boolean | string | { from?: string[], can?: string } | undefined} plain
 * @returns {{ right?: string, from?: string[] } | undefined}
 */
function nativePlain (plain) {
  if (plain === undefined) return undefined
  if (plain === false) return {}
  if (plain === true) return { right: 'write' }
  if (typeof plain === 'string') return { right: checkRight(plain, 'plain') }
  if (plain === null || typeof plain !== 'object') throw badPlain()
  const { from, can = 'write' } = plain
  checkRight(can, 'plain.can')
  if (from === undefined) return { right: can }
  if (!Array.isArray(from) || !from.every(isNetwork)) throw badPlain()
  return { right: can, from }
}

function isNetwork (text) {
  return typeof text === 'string' && isIP(text.split('/')[0]) !== 0
}

/** The `network` option, checked. */
function networkName (network) {
  if (network === undefined) return undefined
  if (typeof network !== 'string' || network === '') throw networkNotString(network)
  return network
}

module.exports = { checkRight, isForCertificates, nativePeers, nativePlain, networkName, rightOfCertificate }
