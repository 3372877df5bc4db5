'use strict'

const os = require('node:os')
const { isDeepStrictEqual } = require('node:util')

const { checkPort } = require('./address')
const { alreadyListening, closed, noTlsOptions, readOnly } = require('../errors')
const { listenFailure } = require('./system-errors')
const { promised } = require('../callback')
const { decideSoon, tlsServer } = require('./tls')

/** Accepts peers, and announces the address in the log. */
class Server {
  /**
   * @param {object} parts
   * @param {object} parts.emitter has `_listening`
   * @param {object} parts.core the native half
   * @param {import('../native/requests')} parts.requests
   * @param {import('./store-id')} parts.storeId
   * @param {import('../emitting/emit-path')} parts.emits
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../status')} parts.status
   * @param {import('../lifecycle/process-hold')} parts.hold
   * @param {import('./streams').Streams} parts.streams
   * @param {import('./admission')} parts.admission
   * @param {import('../emitting/schema-record')} parts.schemaRecord
   * @param {object} [parts.tls] the emitter's TLS options
   */
  constructor ({ emitter, core, requests, storeId, emits, state, status, hold, streams, admission, schemaRecord, tls }) {
    this.emitter = emitter
    this.core = core
    this.requests = requests
    this.storeId = storeId
    this.emits = emits
    this.state = state
    this.status = status
    this.hold = hold
    this.streams = streams
    this.admission = admission
    this.schemaRecord = schemaRecord
    this.tls = tls
    /** The server of TLS peers, if there is one. */
    this.secure = undefined
    /** The address bound, once it is. */
    this.address = undefined
  }

  /** Whether a server is bound, or being bound: it keeps the process alive. */
  get busy () {
    return this.emitter._listening && !this.state.closing
  }

  /**
   * @param {*} port
   * @param {*} host
   * @param {object | true} [tls] options of node:tls, or true for the emitter's own: then only TLS connections are accepted
   * @param {Function} [callback]
   */
  listen (port, host, tls, callback) {
    const { emitter, state } = this
    if (this.busy) throw alreadyListening()
    if (tls === true && this.tls === undefined) throw noTlsOptions()
    return promised(callback, (done) => {
      const fail = (error) => {
        emitter._listening = false
        process.nextTick(done, error)
      }
      if (state.closing) return fail(closed())
      if (state.readOnly) return fail(readOnly())
      emitter._listening = true
      let number
      try {
        number = checkPort(port, 'options.port')
      } catch (error) {
        return fail(error)
      }
      const options = tls === true ? this.tls : tls
      this.bind(number, host ?? undefined, options, (error, address) => error ? fail(error) : done(null, address))
    })
  }

  bind (port, host, tls, done) {
    this.schemaRecord.tell()
    this.storeId.get((error, id) => {
      if (error) return done(error)
      const bound = (error, address) => {
        if (error) return done(error)
        this.address = address
        this.announce(id, host, (error) => error ? done(error) : done(null, { ...this.address }))
      }
      if (tls === undefined) this.bindPlain(port, host, bound)
      else this.bindTls(port, host, tls, bound)
    })
    this.hold.refresh()
  }

  bindPlain (port, host, bound) {
    const { core, requests } = this
    requests.ask((ask) => core.askListen(ask, host, port), (error, answer) => {
      if (error) bound(listenFailure(error, host, port))
      else bound(null, JSON.parse(answer.text))
    })
  }

  /** Accepts TLS connections with Node's server, and passes their bytes to the native half. */
  bindTls (port, host, tls, bound) {
    const server = this.secure = tlsServer(tls, (socket) => this.accept(socket))
    server.once('error', bound)
    server.listen({ port, host }, () => {
      server.off('error', bound).on('error', (error) => this.status.warn(error))
      bound(null, server.address())
    })
  }

  /**
   * Accepts a TLS peer. If its certificate was checked, the certificate decides about it; otherwise the peer is treated as on a
   * plain connection.
   */
  accept (socket) {
    const { streams, admission } = this
    const remote = { address: socket.remoteAddress, port: socket.remotePort }
    if (!socket.authorized) {
      streams.carry(socket, { remote, security: 'tls' })
      return
    }
    const peer = { direction: 'in', ...remote }
    const certificate = socket.getPeerCertificate()
    decideSoon(socket, (answer) => admission.certify({ ...peer, certificate }, answer), (right) => {
      if (right === undefined) return socket.destroy()
      streams.carry(socket, { remote, security: 'tls', right }, (link) => {
        if (link !== undefined) admission.note(link, { ...peer, link, certificate }, right)
      })
    })
  }

  /** Emits an EventPeer if our addresses have changed since the last one. */
  announce (id, host, done) {
    const { core, requests } = this
    const ips = host && !(host in UNSPECIFIED) ? [host] : localAddresses(UNSPECIFIED[host])
    const record = { id, addresses: ips.map((ip) => ({ ip, port: this.address.port })) }
    // An EventPeer without addresses would crash every 1.x process that it reaches.
    if (ips.length === 0) return done()
    requests.ask((ask) => core.askFact(ask, 'myEventPeer'), (error, answer) => {
      if (error) return done(error)
      if (isDeepStrictEqual(parse(answer.text), record)) return done()
      const announced = (error) => {
        if (error) return done(error)
        requests.ask((ask) => core.setFact(ask, 'myEventPeer', JSON.stringify(record)), done, { brief: true })
      }
      this.emits.emit('EventPeer', record, { answer: announced })
    })
  }

  /** Stops the TLS server when the emitter closes. (The native half stops accepting by itself.) */
  end () {
    this.address = undefined
    this.secure?.close()
  }
}

/** Parses a record. If it is unreadable, it counts as not announced. */
function parse (json) {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/**
 * Hosts that stand for all addresses of this machine, with their address family (undefined means both). Peers cannot dial them.
 */
const UNSPECIFIED = Object.assign(Object.create(null), { '0.0.0.0': 'IPv4', '::': undefined })

/** Addresses at which peers can reach this machine, of one family or of both. */
function localAddresses (family) {
  const all = Object.values(os.networkInterfaces()).flat()
  const reachable = all.filter((each) => !each.internal && (family === undefined || each.family === family))
  return reachable.map((each) => each.address)
}

module.exports = Server
