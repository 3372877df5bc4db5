'use strict'

const { checkPort, checkHost, knownPeers } = require('./address')
const { badPeersRecord, closed, hungUp, insecureDial, prematureClose, readOnly, streamEnded } = require('../errors')
const { promised } = require('../callback')
const { linkFailure } = require('./system-errors')
const { decideSoon, dialTls, isInsecure } = require('./tls')
const Link = require('./link')
const { endText } = require('./link-end')

/** Codes of refusals that further attempts would get again, so a waiting `connect` fails immediately. */
const REFUSALS = new Set([
  'ERR_HYPER_INCOMPATIBLE', 'ERR_HYPER_HARMFUL', 'ERR_HYPER_INSECURE', 'ERR_HYPER_NETWORK', 'ERR_HYPER_REFUSED', 'ERR_HYPER_RIGHTS'
])

/** Codes of attempts that fail because this machine lacks descriptors or memory. */
const LACKS = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

/**
 * After this many consecutive attempts without a link, a waiting `connect` fails. It is 1.x's number, and also the number after
 * which the native half gives up peers that were never reached. Known peers are dialled further.
 */
const MAX_ATTEMPTS = 10

/** Links to others, `emitter._peers`, and the record of peers to dial at the next start. */
class Connections {
  /**
   * @param {object} parts
   * @param {object} parts.emitter has `_peers`
   * @param {object} parts.core the native half
   * @param {import('../native/requests')} parts.requests
   * @param {import('../native/acks')} parts.acks
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../lifecycle/process-hold')} parts.hold
   * @param {import('../status')} parts.status
   * @param {import('./streams').Streams} parts.streams
   * @param {import('./admission')} parts.admission
   * @param {import('../emitting/schema-record')} parts.schemaRecord
   * @param {object} [parts.tls] the emitter's TLS options, for dials without their own
   */
  constructor ({ emitter, core, requests, acks, state, hold, status, streams, admission, schemaRecord, tls }) {
    this.emitter = emitter
    this.core = core
    this.requests = requests
    this.acks = acks
    this.state = state
    this.hold = hold
    this.status = status
    this.streams = streams
    this.admission = admission
    this.schemaRecord = schemaRecord
    this.tls = tls
    /** Dialled links, until they are given up or closed: by key, `{ host, port, how, stands, waiting }`; `how` as given to `connect`. */
    this.dials = new Map()
    /** How the remembered peers were dialled: key to `how`. Undefined until they have been read. */
    this.remembered = undefined
    /** Dials without `how`, which wait for that. */
    this.unread = []
    /** Established links: by key, the peer as `status` reports it. */
    this.standing = new Map()
    /** Callbacks that wait until a link over a stream is established, by its key. */
    this.awaited = new Map()
    /** Keys of inbound links: counters, as in 1.x. */
    this.inbound = new Set()
  }

  /** Whether there are links, or dials under way. */
  get busy () {
    return this.dials.size + this.inbound.size > 0
  }

  /**
   * @param {*} port
   * @param {*} host
   * @param {object} how checked: `key` (the peer's), `plain` (a right), `tls` (options, or true for the emitter's own)
   * @param {Function} [callback]
   */
  connect (port, host, how, callback) {
    const number = checkPort(port)
    const target = checkHost(host)
    const key = `${target}:${number}`
    if (how.tls === true && this.tls === undefined) throw insecureDial(key)
    return promised(callback, (done) => {
      if (this.state.closing || this.state.readOnly) {
        process.nextTick(done, this.state.closing ? closed() : readOnly())
        return
      }
      const dial = this.dials.get(key)
      if (dial !== undefined && this.differs(key, dial, how)) this.dialAnew(key, dial, how, done)
      else if (dial === undefined && this.emitter._peers[key] === undefined) this.dial(key, target, number, how, false, [done])
      else if (dial === undefined || dial.stands) done()
      else dial.waiting.push({ done, failures: 0 })
    })
  }

  /** Dials, and keeps the link. The callbacks wait for the peer's handshake, because a TCP connection alone proves nothing. */
  dial (key, host, port, how, known, callbacks) {
    const waiting = callbacks.map((done) => ({ done, failures: 0 }))
    const dial = { host, port, how, stands: false, waiting }
    this.dials.set(key, dial)
    this.enter(key)
    this.schemaRecord.tell()
    // Waits until the events emitted so far are stored, so that they are history when the link comes up. As in 1.x, the dialled
    // peer gets the dialler's history first.
    setImmediate(() => this.acks.settle(() => {
      const start = () => this.start(key, dial, known)
      if (this.remembered === undefined && saysNothing(how)) this.unread.push(start)
      else start()
    }))
    this.hold.refresh()
  }

  /** Dials, or continues to dial in the manner that `dial.how` says now. */
  start (key, dial, known) {
    if (this.dials.get(key) !== dial) return
    dial.how = this.effective(key, dial.how)
    const { host, port, how: { key: publicKey, plain, tls } } = dial
    // A peer that an earlier run was linked with is never given up, even if `connect` was called before that was known.
    this.core.connect(host, port, known || this.remembered?.has(key) === true, { key: publicKey, plain, carried: tls !== undefined })
  }

  /**
   * How a peer is dialled. Without `how`, it is dialled as in an earlier run, if that was with a key or TLS: a restart must not
   * remove this protection.
   */
  effective (key, how) {
    const before = this.remembered?.get(key)
    return saysNothing(how) && (before?.key !== undefined || before?.tls !== undefined) ? before : how
  }

  /**
   * Whether a link that is already dialled has to be made in another manner. Without `how`, the existing manner stays, except
   * for plain links of an earlier run.
   */
  differs (key, dial, how) {
    if (saysNothing(how) && !(dial.isRemembered && dial.how.plain !== undefined)) return false
    return this.manner(dial.how) !== this.manner(this.effective(key, how))
  }

  dialAnew (key, dial, how, done) {
    Object.assign(dial, { how, stands: false, isRemembered: false })
    dial.waiting.push({ done, failures: 0 })
    this.acks.settle(() => this.start(key, dial, false))
  }

  /** The manner in which the native half dials for `how`, in one word. */
  manner ({ key, plain, tls }) {
    if (tls !== undefined) return 'tls'
    if (key !== undefined) return key
    if (plain !== undefined) return `plain ${plain}`
    return this.core.publicKey() === null ? 'plain write' : 'noise'
  }

  /** Whether a link has the protection that `how` demands, and is not about to end because `how` has changed. */
  isWanted (how, { security, publicKey }) {
    const manner = this.manner(how)
    return manner === publicKey || manner.split(' ')[0] === security
  }

  enter (key) {
    return (this.emitter._peers[key] ??= new Link(key, 'out', () => this.core.dropLink(key)))
  }

  /** Dials the peers that the store remembers from a previous run. */
  dialKnown () {
    const { state, status } = this
    this.requests.ask((id) => this.core.askFact(id, 'peers'), (error, answer) => {
      if (state.closing) return
      this.recall(error ? undefined : answer.text)
      // If the store cannot be opened, this is reported elsewhere.
      if (error && state.failed === undefined) status.tell('error', error)
    })
  }

  /** Dials the peers of a previous run, which have been read now, and the dials that waited for this. */
  recall (text) {
    const { status } = this
    this.remembered = new Map()
    let known = []
    try {
      if (text !== undefined && text !== null) known = knownPeers(text)
    } catch (cause) {
      status.warn(badPeersRecord(cause))
    }
    for (const { host, port, how } of known) this.remembered.set(`${host}:${port}`, how)
    for (const start of this.unread.splice(0)) start()
    for (const { host, port, how } of known) {
      const key = `${host}:${port}`
      // TLS options are not stored, because they contain keys. A peer that was dialled with TLS is never dialled without it.
      if (how.tls && this.tls === undefined) status.warn(insecureDial(key))
      else if (!this.dials.has(key)) {
        this.dial(key, host, port, how, true, [])
        this.dials.get(key).isRemembered = true
      }
    }
  }

  /** Handles notices of the network. */
  hear (notice) {
    if (this.state.closing) return
    const { kind, text: key } = notice
    const error = notice.code === undefined ? undefined : linkFailure(notice, key)
    switch (kind) {
      case 'inbound': return this.onInbound(key)
      case 'inboundGone': return this.onInboundGone(key, error)
      case 'connected': return this.onConnected(key, told(notice))
      case 'synced': return this.status.tell('synced', told(notice))
      case 'disconnected': return this.onDisconnected(key, told(notice), error)
      case 'connectionError': return this.onConnectionError(key, error)
      case 'gaveUp': return this.onGaveUp(key, error)
      case 'dial': return this.onDial(key, notice.number)
    }
  }

  onInbound (key) {
    this.inbound.add(key)
    this.emitter._peers[key] = new Link(key, 'in', () => this.core.dropLink(key))
    this.status.tell('peerConnected')
  }

  /** Calls back with the peer once this link is established, or with the error that ended it before. */
  whenStanding (key, done) {
    const peer = this.standing.get(key)
    if (peer === undefined) this.awaited.set(key, done)
    else done(null, peer)
  }

  settleAwaited (key, error, peer) {
    const done = this.awaited.get(key)
    this.awaited.delete(key)
    done?.(error, peer)
  }

  onInboundGone (key, error) {
    this.admission.forget(key)
    this.settleAwaited(key, error ?? streamEnded())
    delete this.emitter._peers[key]
    this.inbound.delete(key)
    if (error !== undefined) this.status.tell('peerError', error)
  }

  onConnected (key, peer) {
    this.standing.set(key, peer)
    this.settleAwaited(key, null, peer)
    const dial = this.dials.get(key)
    const link = this.emitter._peers[key]
    if (link instanceof Link) link.direction = peer.direction
    if (dial !== undefined && this.isWanted(dial.how, peer)) {
      dial.stands = true
      this.enter(key)
      // Removed now: they count as connected, even if the link ends before the record is written.
      const waiting = dial.waiting.splice(0)
      this.requests.ask((id) => this.core.setFact(id, 'peers', this.record()), (error) => {
        for (const { done } of waiting) done(error ?? undefined)
      }, { brief: true })
    }
    this.status.tell('connected', peer)
  }

  onDisconnected (key, peer, { code, message }) {
    this.standing.delete(key)
    this.admission.forget(key)
    const dial = this.dials.get(key)
    if (dial !== undefined) dial.stands = false
    this.status.tell('disconnected', { ...peer, code, message: endText(peer.reason, message) })
  }

  /** 1.x's record of the links that were dialled and are up now; its ports are text. */
  record () {
    const peers = Object.keys(this.emitter._peers).map((key) => this.dials.get(key)).filter(Boolean)
    return JSON.stringify(peers.map(({ host, port, how: { key, plain, tls } }) => ({
      address: host, port: String(port), key, plain, tls: tls === undefined ? undefined : true
    })))
  }

  /** Makes a TLS connection for a dial, because the native half asks for one. */
  onDial (key, question) {
    const { core, streams, admission } = this
    const dial = this.dials.get(key)
    if (dial === undefined) return core.dialFailed(question, key, 'the dial has ended')
    const { host, port, how: { tls } } = dial
    dialTls(host, port, tls === true ? this.tls : tls, (error, socket) => {
      if (this.state.closing || this.dials.get(key) !== dial) {
        socket.destroy()
        return core.dialFailed(question, key, 'the dial has ended')
      }
      if (error) return core.dialFailed(question, key, error.message, error.syscall && error.code, isInsecure(error))
      const certificate = socket.getPeerCertificate()
      const peer = { link: key, direction: 'out', address: socket.remoteAddress, port: socket.remotePort, certificate }
      decideSoon(socket, (answer) => admission.certify(peer, answer), (right) => {
        if (right === undefined) {
          socket.destroy()
          return core.dialFailed(question, key, 'its certificate has no right here', undefined, true)
        }
        admission.note(key, peer, right)
        streams.carry(socket, { security: 'tls', right, dialled: true, dial: question })
      })
    })
  }

  onConnectionError (key, error) {
    this.admission.forget(key)
    // Between two attempts there is no link, as in 1.x.
    const link = this.enter(key)
    delete this.emitter._peers[key]
    this.status.tell('connectionError', error, link)
    const dial = this.dials.get(key)
    if (dial === undefined) return
    // If this machine lacks resources, that says nothing about the peer, so it does not count as a failed attempt.
    if (LACKS.has(error.code)) return
    const failed = dial.waiting.filter((each) => ++each.failures >= MAX_ATTEMPTS || REFUSALS.has(error.code))
    dial.waiting = dial.waiting.filter((each) => !failed.includes(each))
    for (const { done } of failed) done(unreached(key, error))
  }

  onGaveUp (key, error) {
    const dial = this.dials.get(key)
    this.dials.delete(key)
    delete this.emitter._peers[key]
    if (dial === undefined) return
    const own = error.code === 'ERR_HYPER_SELF'
    // Programs written for 1.x may dial all members of a list, including themselves. So `connect` succeeds in this case.
    for (const { done } of dial.waiting) done(own ? undefined : unreached(key, error))
    if (own) this.status.warn(error)
  }

  /** Releases all links, the latest first, because the emitter closes. */
  end () {
    const links = this.emitter._peers
    const dialled = []
    for (const key of Object.keys(links).reverse()) {
      const link = links[key]
      if (link instanceof Link) link.release()
      else link.destroy()
      if (this.dials.has(key)) dialled.push(link)
      delete links[key]
    }
    const waiting = [...this.dials.values()].flatMap((dial) => dial.waiting)
    const standing = [...this.standing.values()]
    const awaited = [...this.awaited.values()]
    this.dials.clear()
    this.inbound.clear()
    this.standing.clear()
    this.awaited.clear()
    for (const done of [...waiting.map((each) => each.done), ...awaited]) process.nextTick(done, closed())
    // As in 1.x, where links ended by closing were reported like failures.
    for (const link of dialled) setImmediate(() => this.status.tell('connectionError', prematureClose(), link))
    for (const peer of standing) {
      const { code, message } = closed()
      setImmediate(() => this.status.tell('disconnected', { ...peer, reason: 'closing', told: false, code, message }))
    }
  }
}

/** Whether `connect` was called without `how`. */
function saysNothing ({ key, plain, tls }) {
  return key === undefined && plain === undefined && tls === undefined
}

/** Why `connect` fails. 1.x's text for a connection that ended in an orderly way does not say what was wrong. */
function unreached (key, error) {
  return error.code === 'ERR_HYPER_ENDED' ? hungUp(key, error) : error
}

/** The peer of a notice, as `status` reports it. */
function told ({ peer }) {
  return JSON.parse(peer)
}

module.exports = Connections
