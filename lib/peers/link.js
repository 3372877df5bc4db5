'use strict'

const { EventEmitter } = require('node:events')

/** An entry of `_peers`. */
class Link extends EventEmitter {
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

  /** The emitter closes: the native half ends the link in an orderly way, and tells the peer why. */
  release () {
    this.destroyed = true
  }
}

module.exports = Link
