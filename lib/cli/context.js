'use strict'

const { Failure, Interrupted, describe, oneLine } = require('./exit')
const { size } = require('./format')
const { Output } = require('./output')
const { painter } = require('./terminal')
const { progress } = require('./progress')
const { loadSchema } = require('./schema')
const { storeAt } = require('./store')
const { trustOptions } = require('./trust')

/** Signals that end a command cleanly. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** The environment of a command: its streams, the emitters that it has opened, and the signal that asks it to end. */
class Context {
  /** @param {NodeJS.Process} proc */
  constructor (proc) {
    this.process = proc
    this.env = proc.env
    this.stdin = proc.stdin
    this.stdout = proc.stdout
    this.stderr = proc.stderr
    this.output = new Output(proc.stdout)
    this.paint = painter(proc.stdout, proc.env)
    this._abort = new AbortController()
    this._cleanups = []
    this._onSignal = (name) => {
      if (name === 'SIGHUP' && this._hangUp !== undefined) return this._hangUp()
      if (this.signal.aborted) proc.exit(new Interrupted(name).exitCode) // asked twice: at once
      this._abort.abort(new Interrupted(name))
    }
    // The terminal of stderr may close first; then the error cannot be shown.
    proc.stderr.on('error', () => {})
    for (const name of SIGNALS) proc.on(name, this._onSignal)
    // An emitter that waits for events does not keep the process alive, but a command that waits for it must.
    this._alive = setInterval(() => {}, 0x7fffffff)
  }

  /** The public API. It is loaded on demand, so that help and completions work without the addon. */
  get HyperEmitter () {
    return require('../..')
  }

  /** Aborted when a signal asks for the end; its reason is an {@link Interrupted}. */
  get signal () {
    return this._abort.signal
  }

  /** What SIGHUP does instead of ending the command. */
  onHangUp (act) {
    this._hangUp = act
  }

  /** Rejects when a signal asks for the end. */
  get interrupted () {
    this._interrupted ??= new Promise((resolve, reject) => {
      if (this.signal.aborted) reject(this.signal.reason)
      this.signal.addEventListener('abort', () => reject(this.signal.reason))
    })
    this._interrupted.catch(() => {})
    return this._interrupted
  }

  /** Waits for `promise`, unless a signal or a broken output ends the command before. */
  or (promise) {
    return Promise.race([promise, this.interrupted, this.output.broken])
  }

  /** Prints; to be awaited. */
  async print (text) {
    await this.output.write(text)
  }

  /**
   * One line for the user, on stderr.
   * @param {string} text line breaks in it are replaced
   * @param {string} [format] see util.styleText
   */
  warn (text, format) {
    const line = oneLine(text)
    this.stderr.write(`${format ? painter(this.stderr, this.env)(format, line) : line}\n`)
  }

  /** A bar on a terminal. */
  progress (label, format) {
    const bar = progress({ stream: this.stderr, label, format })
    this._cleanups.push(async () => bar.end())
    return bar
  }

  /** A bar, as the option `onProgress` of the API. */
  onProgress (label) {
    const bar = this.progress(label)
    return { onProgress: ({ done, total }) => bar.update(done, total), end: bar.end }
  }

  /** @param {string|undefined} file */
  schema (file) {
    return file === undefined ? null : loadSchema(file, this.HyperEmitter.compile)
  }

  /** Registers a function that runs at the end in any case; last in, first out. */
  atEnd (cleanup) {
    this._cleanups.push(cleanup)
  }

  /**
   * Opens an emitter on a folder (or memory); closed at the end.
   * @param {string|undefined} path
   * @param {import('./schema').Schema|null} schema
   * @param {{mustExist?: boolean, readOnly?: boolean, dial?: boolean, strict?: boolean, trust?: object, unsaid?: string}} [options]
   *   `readOnly`: a folder of 2.x is only read, so that it may be in use meanwhile; `dial`: connect to the peers that the store knows; `strict`: the emitter's option; `trust`: values of the options of lib/cli/trust.js; `unsaid`:
   *   the code of warnings that the command reports itself
   */
  async open (path, schema, { mustExist = false, readOnly = false, dial = false, strict, trust = {}, unsaid } = {}) {
    const store = await storeAt(path, { mustExist })
    const how = { dial, strict, readOnly: readOnly && typeof store === 'string' }
    const hyper = new this.HyperEmitter(store, schema ? schema.text : null, { ...schema?.options, ...trustOptions(trust), ...how })
    this.atEnd(() => hyper.close())
    for (const kind of ['error', 'warning']) {
      hyper.status.on(kind, (error) => {
        if (!this._failed?.has(error) && (unsaid === undefined || error.code !== unsaid)) this.warn(describe(error))
      })
    }
    const bar = this.progress('opening', size)
    const indexing = this.progress('indexing')
    hyper.status.on('progress', ({ task, done, total }) => {
      if (task === 'opening') bar.update(done, total)
      else if (done < total) indexing.update(done, total)
      else indexing.end()
    })
    try {
      await this.or(hyper.ready())
    } catch (error) {
      ;(this._failed ??= new WeakSet()).add(error)
      throw error
    } finally {
      bar.end()
    }
    return hyper
  }

  /** Closes everything that was opened. */
  async close () {
    for (const cleanup of this._cleanups.splice(0).reverse()) {
      try {
        await cleanup()
      } catch (error) {
        if (error.code !== 'ERR_HYPER_CLOSED') this.warn(describe(error))
      }
    }
    try {
      await this.output.flush()
    } catch (error) {
      if (!(error instanceof Failure)) this.warn(describe(error))
    }
    for (const name of SIGNALS) this.process.off(name, this._onSignal)
    clearInterval(this._alive)
  }
}

module.exports = { Context }
