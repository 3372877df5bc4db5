'use strict'

const { PipeClosed } = require('./exit')

/** Text gathered before it is written: large enough that a write costs little per line, small enough that output appears promptly. */
const CHUNK = 64 * 1024

/** Writes text to a stream, in few writes and with back-pressure. */
class Output {
  /** @param {NodeJS.WritableStream} stream never destroyed here */
  constructor (stream) {
    this._stream = stream
    this._text = ''
    this._scheduled = false
    this._writing = null
    this._error = null
    /** Rejects when the stream cannot be written any more. */
    this.broken = new Promise((resolve, reject) => {
      stream.on('error', (error) => {
        this._error = error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED' ? new PipeClosed() : error
        reject(this._error)
      })
    })
    this.broken.catch(() => {})
  }

  /**
   * Adds text. It is written soon, or with the next `flush`.
   * @param {string} text
   * @returns {Promise<void>|undefined} to be awaited before more is written, because the reader is slower than the writer
   */
  write (text) {
    this._text += text
    if (this._text.length >= CHUNK) return this.flush()
    if (!this._scheduled) {
      this._scheduled = true
      setImmediate(() => {
        this._scheduled = false
        this.flush().catch(() => {}) // kept in _error, thrown by the next call
      })
    }
  }

  /**
   * @returns {Promise<void>} resolves when the stream has passed everything so far to the system
   * @throws {PipeClosed} the reader has closed the stream
   */
  async flush () {
    while (this._writing) await this._writing
    if (this._error) throw this._error
    if (this._text === '') return
    const text = this._text
    this._text = ''
    this._writing = new Promise((resolve) => this._stream.write(text, resolve))
    const error = await this._writing
    this._writing = null
    if (error && !this._error) this._error = error.code === 'EPIPE' ? new PipeClosed() : error
    if (this._error) throw this._error
  }
}

module.exports = { Output }
