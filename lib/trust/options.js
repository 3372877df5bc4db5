'use strict'

const native = require('../native/addon')
const { badTls } = require('../errors')
const { identityKey, secretBytes } = require('./keys')
const { nativeLogs } = require('./logs')
const { checkRight, isForCertificates, nativePeers, nativePlain, networkName } = require('./rights')

/**
 * The options that say whom an emitter trusts, as the native half takes them.
 *
 * @param {object} options of the constructor: `identity`, `secret`, `network`, `peers`, `plain`, `authors`, `unsigned`, `revoked`
 * @returns {object | undefined} undefined where none is given: then everything is as in 1.x
 */
function nativeTrust (options) {
  const { identity, secret, network, peers, plain } = options
  const logs = nativeLogs(options)
  if ([identity, secret, network, peers, plain, logs].every((each) => each === undefined)) return undefined
  if (identity === undefined && isForCertificates(peers)) {
    // TLS is JavaScript's. Who lists peers wants no others: plain links come in only if that is said.
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
 * What a link that is dialled has to be, checked.
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
