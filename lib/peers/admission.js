'use strict'

const { asError, badRight } = require('../errors')
const { nativeLogs } = require('../trust/logs')
const { checkRight, isForCertificates, nativePeers, nativePlain, rightOfCertificate } = require('../trust/rights')

/** Who may connect, and with which right: the option `peers`, a map or a function. */
class Admission {
  /**
   * @param {object} parts
   * @param {object} parts.core the native half
   * @param {object | Map<string, string> | Function} [parts.peers] the option
   * @param {import('../async-context').Context} parts.context the user's function belongs to nobody's request
   * @param {import('../status')} parts.status
   */
  constructor ({ core, peers, context, status }) {
    this.core = core
    this.peers = peers
    this.context = context
    this.status = status
    /** Links of TLS peers that stand: their name to the peer as it was admitted. */
    this.certified = new Map()
  }

  /** Sets who may connect. Links that have lost their right end, those with another right are made anew. */
  set (peers) {
    const { peers: list, asks } = nativePeers(peers)
    if (this.core.publicKey() !== null || !isForCertificates(peers)) this.core.setPeers(list, asks)
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
  }

  /** The native half asks for the right of a peer. */
  hear ({ number, peer }) {
    const { link, direction, address, port, publicKey } = JSON.parse(peer)
    this.ask({ link, direction, address, port, key: publicKey ?? undefined }, (right) => this.core.admit(number, right))
  }

  /**
   * The right of a TLS peer whose certificate has been checked; undefined: none.
   *
   * @param {import('node:tls').TLSSocket} socket
   * @param {object} peer with `address`, `port`, `direction`
   * @param {(right: string | undefined) => void} answer
   */
  certify (socket, peer, answer) {
    const certificate = socket.getPeerCertificate()
    if (typeof this.peers === 'function') this.ask({ ...peer, certificate }, answer)
    // Whoever made the certificate vouches for the peer.
    else if (this.peers === undefined) answer('write')
    else answer(rightOfCertificate(this.peers, certificate))
  }

  /** A TLS peer has its link, or lost it. */
  note (link, peer, right) {
    this.certified.set(link, { peer, right })
  }

  forget (link) {
    this.certified.delete(link)
  }

  /** Asks the user's function, or looks into the map. Whoever cannot be decided about is refused. */
  ask (peer, answer) {
    const { peers } = this
    if (typeof peers !== 'function') {
      answer(peers === undefined ? 'write' : rightOfCertificate(peers, peer.certificate ?? {}))
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
