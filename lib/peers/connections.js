'use strict'

const { EventEmitter } = require('node:events')

const { checkPort, checkHost, knownPeers } = require('./address')
const { closed, coded } = require('../errors')
const { linkFailure } = require('./system-errors')
const { promised } = require('../callback')

/** Refusals that a further attempt does not change: a waiting `connect` hears of them at once. */
const REFUSALS = new Set(['ERR_HYPER_INCOMPATIBLE', 'ERR_HYPER_HARMFUL'])

/** What an attempt fails with while this machine lacks something. */
const LACKS = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

/** A link, as it stands in `_peers`. */
class Peer extends EventEmitter {
  #drop

  /**
   * @param {string} key its name in `_peers`
   * @param {'in' | 'out'} direction
   * @param {() => void} drop cuts the link
   */
  constructor (key, direction, drop) {
    super()
    this.key = key
    this.direction = direction
    this.destroyed = false
    this.#drop = drop
  }

  /** Cuts the link as a failure would; one that was dialled is dialled again. */
  destroy () {
    if (!this.destroyed) {
      this.destroyed = true
      this.#drop()
    }
    return this
  }

  /** The emitter closes: the native half ends the link in an orderly way, which says why. */
  leave () {
    this.destroyed = true
  }
}

/**
 * After this many attempts in a row without a link a waiting `connect` fails: 1.x's number, and the native half's for peers
 * that were never reached. A known peer is dialled on all the same.
 */
const MAX_ATTEMPTS = 10

/** Links to others, `emitter._peers`, and the record of peers to dial at the next start. */
class Peers {
  constructor (parts) {
    this.parts = parts
    /** Dials until they are given up or closed: key to `{ host, port, stands, waiting }`. */
    this.dials = new Map()
    /** Links that stand: key to the peer as `status` tells of it. */
    this.standing = new Map()
    /** Keys of inbound links: counters, as in 1.x. */
    this.inbound = new Set()
  }

  /** How many links and pending dials hold the process. */
  get holding () {
    return this.dials.size + this.inbound.size
  }

  connect (port, host, callback) {
    const number = checkPort(port)
    const target = checkHost(host)
    const key = `${target}:${number}`
    const { emitter, closing } = this.parts
    return promised(callback, (done) => {
      if (closing) {
        process.nextTick(done, closed())
        return
      }
      const dial = this.dials.get(key)
      if (dial === undefined && emitter._peers[key] === undefined) this.dial(key, target, number, false, [done])
      else if (dial === undefined || dial.stands) done()
      else dial.waiting.push({ done, failures: 0 })
    })
  }

  /** Dials, and keeps the link. The callbacks wait for a peer that has introduced itself: that TCP connects says nothing. */
  dial (key, host, port, known, callbacks) {
    const waiting = callbacks.map((done) => ({ done, failures: 0 }))
    const dial = { host, port, stands: false, waiting }
    this.dials.set(key, dial)
    this.enter(key)
    const { acks, core, loop } = this.parts
    // What is emitted now is history when the link comes up, and history has an order: the listener hears the dialler's
    // first, as in 1.x.
    setImmediate(() => acks.settle(() => {
      if (this.dials.get(key) === dial) core.connect(host, port, known)
    }))
    loop.refresh()
  }

  enter (key) {
    const { emitter, core } = this.parts
    return (emitter._peers[key] ??= new Peer(key, 'out', () => core.dropLink(key)))
  }

  /** Dials the peers of the record that an earlier life left. */
  dialKnown () {
    const { core, requests, emitter } = this.parts
    requests.ask((id) => core.askFact(id, 'peers'), (error, answer) => {
      if (this.parts.closing) return
      if (error) {
        if (this.parts.failed === undefined) emitter.status.emit('error', error)
        return
      }
      if (answer.text === undefined || answer.text === null) return
      let known
      try {
        known = knownPeers(answer.text)
      } catch (cause) {
        this.parts.warn(coded('ERR_HYPER_PEERS', `the record of known peers is not JSON and is ignored: ${cause.message}`))
        return
      }
      for (const { host, port } of known) {
        const key = `${host}:${port}`
        if (!this.dials.has(key)) this.dial(key, host, port, true, [])
      }
    })
  }

  /** Notices of the network. */
  hear (notice) {
    if (this.parts.closing) return
    const { kind, text: key } = notice
    const error = notice.code === undefined ? undefined : linkFailure(notice, key)
    switch (kind) {
      case 'inbound': return this.onInbound(key)
      case 'inboundGone': return this.onInboundGone(key, error)
      case 'connected': return this.onConnected(key, told(notice))
      case 'synced': return this.tell('synced', told(notice))
      case 'disconnected': return this.onDisconnected(key, told(notice), error)
      case 'connectionError': return this.onConnectionError(key, error)
      case 'gaveUp': return this.onGaveUp(key, error)
    }
  }

  tell (event, peer) {
    this.parts.emitter.status.emit(event, peer)
  }

  onInbound (key) {
    const { emitter, core } = this.parts
    this.inbound.add(key)
    emitter._peers[key] = new Peer(key, 'in', () => core.dropLink(key))
    emitter.status.emit('peerConnected')
  }

  onInboundGone (key, error) {
    const { emitter } = this.parts
    delete emitter._peers[key]
    this.inbound.delete(key)
    if (error !== undefined) emitter.status.emit('peerError', error)
  }

  onConnected (key, peer) {
    this.standing.set(key, peer)
    const dial = this.dials.get(key)
    if (dial !== undefined) {
      dial.stands = true
      this.enter(key)
      const { core, requests } = this.parts
      // Connected they are, whatever comes meanwhile.
      const waiting = dial.waiting.splice(0)
      requests.ask((id) => core.setFact(id, 'peers', this.record()), (error) => {
        for (const { done } of waiting) done(error ?? undefined)
      }, { brief: true })
    }
    this.tell('connected', peer)
  }

  onDisconnected (key, peer, { code, message }) {
    this.standing.delete(key)
    const dial = this.dials.get(key)
    if (dial !== undefined) dial.stands = false
    this.tell('disconnected', { ...peer, code, message })
  }

  /** 1.x's record of the links that were dialled and are up now; its ports are text. */
  record () {
    const peers = Object.keys(this.parts.emitter._peers).map((key) => this.dials.get(key)).filter(Boolean)
    return JSON.stringify(peers.map(({ host, port }) => ({ address: host, port: String(port) })))
  }

  onConnectionError (key, error) {
    const { emitter } = this.parts
    // Between two attempts there is none, as in 1.x.
    const peer = this.enter(key)
    delete emitter._peers[key]
    emitter.status.emit('connectionError', error, peer)
    const dial = this.dials.get(key)
    if (dial === undefined) return
    // What this machine lacks says nothing about the peer.
    if (LACKS.has(error.code)) return
    const failed = dial.waiting.filter((each) => ++each.failures >= MAX_ATTEMPTS || REFUSALS.has(error.code))
    dial.waiting = dial.waiting.filter((each) => !failed.includes(each))
    for (const { done } of failed) done(error)
  }

  onGaveUp (key, error) {
    const dial = this.dials.get(key)
    this.dials.delete(key)
    delete this.parts.emitter._peers[key]
    if (dial === undefined) return
    const own = error.code === 'ERR_HYPER_SELF'
    // Connected with itself every emitter is: 1.x's callers, which may dial all members of a list, hear of no failure.
    for (const { done } of dial.waiting) done(own ? undefined : error)
    if (own) this.parts.warn(error)
  }

  /** The emitter closes: lets go of all links, the latest first. */
  end () {
    const { emitter } = this.parts
    const dialled = []
    for (const key of Object.keys(emitter._peers).reverse()) {
      const peer = emitter._peers[key]
      if (peer instanceof Peer) peer.leave()
      else peer.destroy()
      if (this.dials.has(key)) dialled.push(peer)
      delete emitter._peers[key]
    }
    const waiting = [...this.dials.values()].flatMap((dial) => dial.waiting)
    const standing = [...this.standing.values()]
    this.dials.clear()
    this.inbound.clear()
    this.standing.clear()
    for (const { done } of waiting) process.nextTick(done, closed())
    // As in 1.x, where closing ended a link like any failure.
    for (const peer of dialled) {
      setImmediate(() => emitter.status.emit('connectionError', coded('ERR_HYPER_CLOSED', 'premature close'), peer))
    }
    for (const peer of standing) {
      const { code, message } = closed()
      setImmediate(() => this.tell('disconnected', { ...peer, reason: 'closing', told: false, code, message }))
    }
  }
}

/** The peer that a notice tells of, as `status` does. */
function told ({ peer }) {
  return JSON.parse(peer)
}

module.exports = Peers
