'use strict'

const net = require('node:net')

/** A port on loopback that forwards each connection to the port that `target()` returns, and can cut its connections. */
class Relay {
  /**
   * @param {() => number | undefined} target port; undefined if there is no target now
   * @param {string} [localAddress] source address of the connections to the target
   */
  constructor (target, localAddress) {
    this.pairs = new Set()
    this.server = net.createServer((near) => {
      const port = target()
      if (port === undefined) return near.destroy()
      const far = net.connect({ port, host: '127.0.0.1', localAddress })
      const pair = { near, far }
      this.pairs.add(pair)
      const end = () => {
        near.destroy()
        far.destroy()
        this.pairs.delete(pair)
      }
      for (const socket of [near, far]) socket.on('error', end).on('close', end)
      near.pipe(far).pipe(near)
    })
  }

  listen () {
    return new Promise((resolve) => this.server.listen(0, '127.0.0.1', () => resolve(this.server.address().port)))
  }

  /** Cuts all present connections. */
  cut () {
    for (const { near, far } of this.pairs) {
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
    return this.pairs.size
  }

  close () {
    this.cut()
    this.server.close()
  }
}

module.exports = { Relay }
