'use strict'

const { EventEmitter } = require('node:events')

const { checkPort, checkHost, knownPeers } = require('./address')
const { closed, coded } = require('./errors')
const { linkFailure } = require('./network-errors')
const { promised } = require('./promised')

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
}

/** Links to others, `emitter._peers`, and the record of peers to dial at the next start. */
class Peers {
  constructor (parts) {
    this.parts = parts
    /** Dials until they are given up or closed: key to `{ host, port, callbacks }`. */
    this.dials = new Map()
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
      } else if (emitter._peers[key] !== undefined) {
        done()
      } else if (this.dials.has(key)) {
        this.dials.get(key).callbacks.push(done)
      } else {
        this.dial(key, target, number, false, [done])
      }
    })
  }

  dial (key, host, port, known, callbacks) {
    const dial = { host, port, callbacks }
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
  hear ({ kind, text: key, code, message }) {
    if (this.parts.closing) return
    const error = code === undefined ? undefined : linkFailure(code, message, key)
    switch (kind) {
      case 'inbound': return this.onInbound(key)
      case 'inboundGone': return this.onInboundGone(key, error)
      case 'connected': return this.onConnected(key)
      case 'connectionError': return this.onConnectionError(key, error)
      case 'gaveUp': return this.onGaveUp(key, error)
    }
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

  onConnected (key) {
    const dial = this.dials.get(key)
    if (dial === undefined) return
    this.enter(key)
    const { core, requests } = this.parts
    // Connected they are, whatever comes meanwhile.
    const callbacks = dial.callbacks.splice(0)
    requests.ask((id) => core.setFact(id, 'peers', this.record()), (error) => {
      for (const done of callbacks) done(error ?? undefined)
    }, { brief: true })
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
  }

  onGaveUp (key, error) {
    const dial = this.dials.get(key)
    this.dials.delete(key)
    delete this.parts.emitter._peers[key]
    if (dial === undefined) return
    for (const done of dial.callbacks) done(error)
    // `connect` was answered when the link came up. That there will be none any more, which may end the process, must not
    // pass in silence. A store that did not open has been told of already.
    if (dial.callbacks.length === 0 && this.parts.failed === undefined) {
      const lost = coded('ERR_HYPER_CONNECT', `${key} is not dialled any more: ${error.message}`)
      this.parts.warn(Object.assign(lost, { cause: error }))
    }
  }

  /** The emitter closes: cuts all links, the latest first. */
  end () {
    const { emitter } = this.parts
    const dialled = []
    for (const key of Object.keys(emitter._peers).reverse()) {
      const peer = emitter._peers[key]
      peer.destroy()
      if (this.dials.has(key)) dialled.push(peer)
      delete emitter._peers[key]
    }
    const callbacks = [...this.dials.values()].flatMap((dial) => dial.callbacks)
    this.dials.clear()
    this.inbound.clear()
    for (const done of callbacks) process.nextTick(done, closed())
    // As in 1.x, where closing ended a link like any failure.
    for (const peer of dialled) {
      setImmediate(() => emitter.status.emit('connectionError', new Error('premature close'), peer))
    }
  }
}

module.exports = Peers
