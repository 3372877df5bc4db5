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

  /** Cuts the link like a failure would. If this emitter dialled it, it is dialled again. */
  destroy () {
    if (!this.destroyed) {
      this.destroyed = true
      this.#drop()
    }
    return this
  }

  /** Releases the link when the emitter closes: the native half ends it in an orderly way, and tells the peer why. */
  release () {
    this.destroyed = true
  }
}

module.exports = Link
