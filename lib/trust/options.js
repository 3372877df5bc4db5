'use strict'

const native = require('../native/addon')
const { badTls } = require('../errors')
const { identityKey, secretBytes } = require('./keys')
const { nativeLogs } = require('./logs')
const { checkRight, isForCertificates, nativePeers, nativePlain, networkName } = require('./rights')

/**
 * The options that say whom an emitter trusts, in the native half's form.
 *
 * @param {object} options of the constructor: `identity`, `secret`, `network`, `peers`, `plain`, `authors`, `unsigned`, `revoked`
 * @returns {object | undefined} undefined if none is given: then everything is as in 1.x
 */
function nativeTrust (options) {
  const { identity, secret, network, peers, plain } = options
  const logs = nativeLogs(options)
  if ([identity, secret, network, peers, plain, logs].every((each) => each === undefined)) return undefined
  if (identity === undefined && isForCertificates(peers)) {
    // TLS is handled in JavaScript. A list of peers excludes all others, so plain links are accepted only if `plain` says so.
    return { network: networkName(network), plain: nativePlain(plain ?? false), logs }
  }
  return {
    identity: identity === undefined ? undefined : identityKey(identity),
    secret: secret === undefined ? undefined : secretBytes(secret),
    network: networkName(network),
    plain: nativePlain(plain),
    logs,
    ...nativePeers(peers)
  }
}

/**
 * Checks the options that say how a dialled link must be protected.
 *
 * @param {object} how `key`: the peer's public key; `plain`: true, or the right of a peer that is dialled without encryption; `tls`:
 *   options of node:tls, or true for the emitter's own
 */
function checkDial ({ key, plain, tls }) {
  if (key !== undefined) native.checkPublicKey(key)
  if (tls !== undefined && tls !== true && (tls === null || typeof tls !== 'object')) throw badTls(tls)
  const right = plain === undefined || plain === false ? undefined : plain === true ? 'write' : checkRight(plain, 'plain')
  return { key, plain: right, tls }
}

module.exports = { nativeTrust, checkDial }
