'use strict'

/**
 * Links over streams that JavaScript carries: TLS connections, and streams of users. The native half handles the protocol; this
 * module passes bytes in both directions, with back-pressure.
 */
class Streams {
  /**
   * @param {object} core the native half
   * @param {import('../lifecycle/process-hold')} hold
   */
  constructor (core, hold) {
    this.core = core
    this.hold = hold
    /** Id to `Carried`. */
    this.open = new Map()
    this.last = 0
  }

  /** Whether there are streams; they keep the process alive. */
  get busy () {
    return this.open.size > 0
  }

  /**
   * Carries a link over a stream.
   *
   * @param {import('node:stream').Duplex} duplex
   * @param {object} how for the native half: `remote`, `local`, `security`, `right`, `dialled`, `key`, `dial`
   * @param {(key: string | undefined) => void} [linked] with the link's name, once it has one; undefined if the stream ended first
   * @returns {boolean} whether the stream is still there
   */
  carry (duplex, how, linked) {
    if (duplex.destroyed) {
      // The stream has already ended, and would never emit `close`.
      linked?.(undefined)
      return false
    }
    const id = this.nextId()
    this.core.openStream(id, how)
    this.open.set(id, new Carried(id, duplex, this.core, linked, () => {
      this.open.delete(id)
      this.hold.refresh()
    }))
    this.hold.refresh()
    return true
  }

  nextId () {
    do this.last = (this.last + 1) >>> 0
    while (this.open.has(this.last))
    return this.last
  }

  /** Notices of streams. */
  hear ({ kind, id, text }) {
    const carried = this.open.get(id)
    if (kind === 'streamLink') carried?.link(text)
    else if (text === 'drained') carried?.duplex.resume()
    else carried?.send()
  }

  /** Destroys the remaining streams, because the emitter is closed. */
  destroy () {
    for (const { duplex } of [...this.open.values()]) duplex.destroy()
  }
}

/** One stream. */
class Carried {
  constructor (id, duplex, core, linked, gone) {
    this.id = id
    this.duplex = duplex
    this.core = core
    this.linked = linked
    this.full = false
    let failed
    duplex.on('data', (bytes) => {
      if (!core.streamWrite(id, Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes))) duplex.pause()
    })
    duplex.on('drain', () => {
      this.full = false
      this.send()
    })
    duplex.on('end', () => core.streamEnd(id))
    duplex.on('error', (error) => { failed = error.message })
    duplex.on('close', () => {
      core.streamFail(id, failed)
      gone()
      this.link(undefined)
    })
    this.send()
  }

  /** The link has a name. */
  link (key) {
    const { linked } = this
    this.linked = undefined
    linked?.(key)
  }

  /** Writes the bytes that the native half has for the stream, until the stream takes no more. */
  send () {
    const { core, duplex, id } = this
    while (!this.full && !duplex.destroyed && !duplex.writableEnded) {
      const { bytes, end } = core.streamRead(id)
      if (bytes) this.full = !duplex.write(bytes)
      if (end) duplex.end()
      if (!bytes || end) return
    }
  }
}

/** Whether something is a stream that can carry a link. */
function isDuplex (value) {
  return value !== null && typeof value === 'object' && typeof value.write === 'function' && typeof value.on === 'function' && typeof value.pause === 'function'
}

module.exports = { Streams, isDuplex }
