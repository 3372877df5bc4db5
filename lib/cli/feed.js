'use strict'

const { lines } = require('./lines')

/** Events in flight: enough to fill group commits, few enough to hold in memory. */
const IN_FLIGHT = 1024

/** Characters of lines in flight, so that large events are bounded, too. */
const IN_FLIGHT_TEXT = 8 * 1024 * 1024

/** Error codes after which the store accepts nothing more. Any other error concerns only one event. */
const FATAL = new Set(['ERR_HYPER_CLOSED', 'ERR_HYPER_STORAGE', 'ERR_HYPER_NO_SPACE', 'ERR_HYPER_NO_DESCRIPTORS', 'ERR_HYPER_NO_MEMORY', 'ERR_HYPER_STORE', 'ERR_HYPER_DAMAGED', 'ERR_HYPER_INTERNAL', 'ERR_HYPER_LOCKED', 'ERR_HYPER_NOT_A_STORE'])

/**
 * Emits lines of ndjson in their order, no faster than the store takes them. Blank lines are skipped.
 */
class Feed {
  /**
   * @param {object} options
   * @param {import('../..')} options.hyper
   * @param {(text: string) => {name: string, payload: any, tags?: string[], id?: string}} options.read
   * @param {(number: number, error: Error) => void} options.refused told of every line that was not stored
   * @param {import('./resume').Resume} [options.resume] knows lines that are stored already
   * @param {AbortSignal} [options.signal] ends the input early; what was emitted is still waited for
   * @param {(bytes: number) => void} [options.progress] told how far the input has been read
   */
  constructor ({ hyper, read, refused, resume, signal, progress }) {
    this._hyper = hyper
    this._read = read
    this._refused = refused
    this._resume = resume
    this._signal = signal
    this._progress = progress
    this._flying = 0
    this._flyingText = 0
    this._wake = null
    this._fatal = null
    /** Lines read, stored now, stored before (resume), refused. */
    this.counts = { lines: 0, stored: 0, known: 0, refused: 0 }
  }

  /**
   * Resolves when the input has ended and every line of it is on disk or refused.
   * @param {import('node:stream').Readable} source
   */
  async run (source) {
    const stop = () => source.destroy()
    this._signal?.addEventListener('abort', stop)
    try {
      for await (const group of lines(source)) {
        for (const line of group) {
          await this._line(line)
          if (this._fatal || this._signal?.aborted) break
        }
        this._progress?.(group[group.length - 1].end)
        if (this._fatal || this._signal?.aborted) break
      }
    } catch (error) {
      if (!this._signal?.aborted) throw error
    } finally {
      this._signal?.removeEventListener('abort', stop)
      while (this._flying > 0 && !this._fatal) await this._landing()
    }
    if (this._fatal) throw this._fatal
  }

  async _line (line) {
    this.counts.lines++
    if (line.fault) return this._refuse(line.number, new Error(line.fault))
    if (/^\s*$/.test(line.text)) return
    let event
    try {
      event = this._read(line.text)
    } catch (error) {
      return this._refuse(line.number, error instanceof SyntaxError ? new Error(`not JSON: ${error.message}`) : error)
    }
    if (this._resume?.searching) return this._search(line, event)
    while ((this._flying >= IN_FLIGHT || this._flyingText >= IN_FLIGHT_TEXT) && !this._fatal) await this._landing()
    if (!this._fatal) this._emit(line, event)
  }

  /** Handles one line at a time, as long as it is unknown how far an earlier run came. */
  async _search (line, event) {
    if (await this._resume.has(event)) {
      this.counts.known++
      return
    }
    const refusedBefore = this.counts.refused
    this._emit(line, event)
    while (this._flying > 0 && !this._fatal) await this._landing()
    // A line that is new means that all after it are: an earlier run stored them in order.
    if (this.counts.refused === refusedBefore) this._resume.searching = false
  }

  _emit ({ number, text }, { name, payload, tags, id }) {
    const size = text.length
    try {
      this._hyper.emit(name, payload, { tags, id }, (error) => {
        this._flying--
        this._flyingText -= size
        if (!error) this.counts.stored++
        else this._failed(number, error)
        this._wake?.()
      })
      this._flying++
      this._flyingText += size
    } catch (error) {
      this._refuse(number, error)
    }
  }

  _failed (number, error) {
    if (!FATAL.has(error.code)) this._refuse(number, error)
    else if (!this._fatal) {
      this._fatal = error
      error.message = `line ${number} and what follows it are not stored: ${error.message}`
    }
  }

  _refuse (number, error) {
    this.counts.refused++
    this._refused(number, error)
  }

  /** Waits until an event has been stored or refused. */
  _landing () {
    return new Promise((resolve) => {
      this._wake = () => {
        this._wake = null
        resolve()
      }
    })
  }
}

module.exports = { Feed }
