'use strict'

const os = require('node:os')
const { isDeepStrictEqual } = require('node:util')

const { checkPort } = require('./address')
const { alreadyListening, closed } = require('../errors')
const { listenFailure } = require('./system-errors')
const { promised } = require('../callback')

/** Accepting peers, and telling the log where. */
class Server {
  /**
   * @param {object} parts
   * @param {object} parts.emitter has `_listening`
   * @param {object} parts.core the native half
   * @param {import('../native/requests')} parts.requests
   * @param {import('./identity')} parts.identity
   * @param {import('../emitting/emit-path')} parts.emits
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../lifecycle/process-hold')} parts.hold
   */
  constructor ({ emitter, core, requests, identity, emits, state, hold }) {
    this.emitter = emitter
    this.core = core
    this.requests = requests
    this.identity = identity
    this.emits = emits
    this.state = state
    this.hold = hold
    /** The address bound, once it is. */
    this.address = undefined
  }

  /** A server that is bound, or being bound, holds the process. */
  get busy () {
    return this.emitter._listening && !this.state.closing
  }

  listen (port, host, callback) {
    const { emitter, state } = this
    if (this.busy) throw alreadyListening()
    return promised(callback, (done) => {
      const fail = (error) => {
        emitter._listening = false
        process.nextTick(done, error)
      }
      if (state.closing) return fail(closed())
      emitter._listening = true
      let number
      try {
        number = checkPort(port, 'options.port')
      } catch (error) {
        return fail(error)
      }
      this.bind(number, host ?? undefined, (error, address) => error ? fail(error) : done(null, address))
    })
  }

  bind (port, host, done) {
    const { core, requests } = this
    this.identity.get((error, id) => {
      if (error) return done(error)
      requests.ask((ask) => core.askListen(ask, host, port), (error, answer) => {
        if (error) return done(listenFailure(error, host, port))
        this.address = JSON.parse(answer.text)
        this.announce(id, host, (error) => error ? done(error) : done(null, { ...this.address }))
      })
    })
    this.hold.refresh()
  }

  /** Emits an EventPeer if our addresses have changed since the last one. */
  announce (id, host, done) {
    const { core, requests } = this
    const ips = host && !(host in UNSPECIFIED) ? [host] : localAddresses(UNSPECIFIED[host])
    const record = { id, addresses: ips.map((ip) => ({ ip, port: this.address.port })) }
    // An EventPeer without addresses kills every 1.x process that it reaches.
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

  /** The emitter closes; the native half stops accepting. */
  end () {
    this.address = undefined
  }
}

/** A record that cannot be read counts as not announced. */
function parse (json) {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** Hosts that stand for all addresses of this machine, with their family (undefined: both). Others cannot dial them. */
const UNSPECIFIED = Object.assign(Object.create(null), { '0.0.0.0': 'IPv4', '::': undefined })

/** Addresses under which others can reach this machine; of one family, or of both. */
function localAddresses (family) {
  const all = Object.values(os.networkInterfaces()).flat()
  const reachable = all.filter((each) => !each.internal && (family === undefined || each.family === family))
  return reachable.map((each) => each.address)
}

module.exports = Server
