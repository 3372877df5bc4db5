'use strict'

const { asError, badRight, keysWithoutIdentity } = require('../errors')
const { nativeLogs } = require('../trust/logs')
const { checkRight, nativePeers, nativePlain, rightOfCertificate } = require('../trust/rights')

/** Who may connect, and with which right: the option `peers`, a map or a function. */
class Admission {
  /**
   * @param {object} parts
   * @param {object} parts.core the native half
   * @param {object | Map<string, string> | Function} [parts.peers] the option
   * @param {*} [parts.plain] the option
   * @param {import('../async-context').Context} parts.context the context of the user's function, because it belongs to no
   *        request
   * @param {import('../status')} parts.status
   */
  constructor ({ core, peers, plain, context, status }) {
    this.core = core
    this.peers = peers
    this.plain = plain
    this.context = context
    this.status = status
    /** Links with TLS peers: by their name, the peer as it was admitted. */
    this.certified = new Map()
  }

  /** Sets who may connect. Links that have lost their right end; links whose right has changed are replaced. */
  set (peers) {
    const { peers: list, asks } = nativePeers(peers)
    // Without an identity, `peers` decides only about certificates. Plain links are then refused, because a list of peers
    // excludes all others.
    if (this.core.publicKey() !== null) this.core.setPeers(list, asks)
    else if (list?.length > 0) throw keysWithoutIdentity()
    else if (this.plain === undefined) this.core.setPlain(nativePlain(peers === undefined))
    this.peers = peers
    for (const [link, { peer, right }] of this.certified) {
      this.ask(peer, (now) => {
        if (now !== right) this.core.revoke(link)
      })
    }
  }

  setTrust (trust) {
    this.core.setTrust(nativeLogs({ peers: this.peers, ...trust }) ?? {})
  }

  setPlain (plain) {
    this.core.setPlain(nativePlain(plain))
    this.plain = plain
  }

  /** The native half asks for the right of a peer. */
  hear ({ number, peer }) {
    const { link, direction, address, port, publicKey } = JSON.parse(peer)
    this.ask({ link, direction, address, port, key: publicKey ?? undefined }, (right) => this.core.admit(number, right))
  }

  /**
   * Decides the right of a TLS peer whose certificate has been checked; undefined means none.
   *
   * @param {object} peer with `address`, `port`, `direction`, `certificate`
   * @param {(right: string | undefined) => void} answer
   */
  certify (peer, answer) {
    // Without `peers`, a certificate that was checked is enough.
    this.ask(peer, answer)
  }

  /** Notes that a TLS peer has got or lost its link. */
  note (link, peer, right) {
    this.certified.set(link, { peer, right })
  }

  forget (link) {
    this.certified.delete(link)
  }

  /** Asks the user's function, or looks into the map. If that fails, the peer is refused. */
  ask (peer, answer) {
    const { peers } = this
    if (typeof peers !== 'function') {
      answer(peers === undefined ? 'write' : rightOfCertificate(peers, peer.certificate))
      return
    }
    const decide = async () => {
      const right = await this.context.runInAsyncScope(peers, undefined, peer)
      if (right === undefined || right === null || right === false) return undefined
      if (typeof right !== 'string') throw badRight('what peers() answers', right)
      return checkRight(right, 'what peers() answers')
    }
    decide().then(answer, (thrown) => {
      this.status.warn(asError(thrown))
      answer(undefined)
    })
  }
}

module.exports = Admission
