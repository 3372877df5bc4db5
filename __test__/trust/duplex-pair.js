'use strict'

const { Duplex } = require('node:stream')

/** Two streams, each of which reads what the other was written. Node.js has one of its own from version 22.6 on. */
exports.duplexPair = function duplexPair () {
  const make = () => new Duplex({
    read () {
      const { wanted } = this
      this.wanted = undefined
      wanted?.()
    },
    write (chunk, encoding, callback) {
      if (this.other.push(chunk)) callback()
      else this.other.wanted = callback
    },
    final (callback) {
      this.other.push(null)
      callback()
    },
    destroy (error, callback) {
      const { other } = this
      setImmediate(() => other.destroy())
      callback(error)
    }
  })
  const [left, right] = [make(), make()]
  left.other = right
  right.other = left
  return [left, right]
}
