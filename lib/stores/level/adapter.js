'use strict'

const { databaseWithoutBytes, notADatabase } = require('../../errors')
const { bytes, readRange } = require('./range')
const settle = require('./settle')

/** Concurrent gets, at first and at most. The first values show how large they are. */
const FIRST_GETS = 16
const MOST_GETS = 256

/**
 * How often it is checked whether a raw store, which is being opened elsewhere, is open, in ms. Raw stores have no event for
 * it.
 */
const OPENING_POLL = 2

/**
 * The encodings requested with every call and operation: the only ones that work in every Level store, old or new. (In some,
 * `buffer` and `view` silently return mangled text.) The last three are for raw stores.
 */
const encodings = () => ({ keyEncoding: 'utf8', valueEncoding: 'binary', keyAsBuffer: false, valueAsBuffer: true, asBuffer: true })

/**
 * One interface for every kind of Level store: levelup 0 to 5, abstract-level 1 to 3, sublevels and raw stores. Versions are
 * not detected; every method is looked up on the caller's object when it is called, as in 1.x.
 */
class LevelAdapter {
  #db
  #opened = false

  /** @param {object} db checked by {@link adaptLevel} */
  constructor (db) {
    this.#db = db
  }

  /**
   * Values of the first keys, in order; may stop early, but not before the first, once they hold more than `limit` bytes.
   *
   * @param {string[]} keys
   * @param {number} limit
   * @param {(error: Error | null, values?: (Buffer | undefined)[]) => void} done
   */
  get (keys, limit, done) {
    this.#open((error) => error ? done(error) : this.#getFrom(0, FIRST_GETS, keys, limit, [], done))
  }

  #getFrom (size, width, keys, limit, values, done) {
    const start = values.length
    const end = Math.min(start + width, keys.length)
    if (start === end || size > limit) return done(null, values)
    while (values.length < end) values.push(undefined)
    let left = end - start
    let failure = null
    const take = (index, error, value) => {
      if (error && !isNotFound(error)) failure = failure || error
      else if (!error && value !== undefined && value !== null) size += (values[index] = bytes(value)).length
      if (--left > 0) return
      if (failure) return done(failure)
      // As many as stay well below the limit, estimated from the values so far.
      const fitting = Math.floor(limit * end / (4 * size + 1))
      this.#getFrom(size, Math.max(1, Math.min(MOST_GETS, 2 * width, fitting)), keys, limit, values, done)
    }
    for (let i = start; i < end; i++) {
      settle((callback) => this.#db.get(keys[i], encodings(), callback), (error, value) => take(i, error, value))
    }
  }

  /**
   * Rows of a half-open range.
   *
   * @param {{ from: string, to: string, reverse: boolean, limit: number }} range
   * @param {(error: Error | null, rows?: [Buffer, Buffer][]) => void} done
   */
  range ({ from, to, reverse, limit }, done) {
    this.#open((error) => {
      if (error) return done(error)
      // Some stores never end a range whose start is after its end.
      if (from >= to) return done(null, [])
      readRange(this.#db, { gte: from, lt: to, reverse, limit, keys: true, values: true, ...encodings() }, done)
    })
  }

  /**
   * One atomic batch, synced where the store can.
   *
   * @param {object[]} ops made by {@link LevelAdapter.put}, {@link LevelAdapter.putText} and {@link LevelAdapter.del}
   * @param {(error: Error | null) => void} done
   */
  batch (ops, done) {
    this.#open((error) => {
      if (error) return done(error)
      settle((callback) => this.#db.batch(ops, { sync: true, ...encodings() }, callback), (error) => done(error))
    })
  }

  /** An operation that sets a key. */
  static put (key, value) {
    return { type: 'put', key, value, keyEncoding: 'utf8', valueEncoding: 'binary' }
  }

  /** An operation that sets a key to text. */
  static putText (key, value) {
    return { type: 'put', key, value, keyEncoding: 'utf8', valueEncoding: 'utf8' }
  }

  /** An operation that removes a key. */
  static del (key) {
    return { type: 'del', key, keyEncoding: 'utf8' }
  }

  /**
   * Closes the caller's database with its current `close` method.
   *
   * @param {(error: Error | null) => void} done
   */
  close (done) {
    if (typeof this.#db.close !== 'function') return done(null)
    settle((callback) => this.#db.close(callback), (error) => done(error))
  }

  /** Opens a raw store. levelup and abstract-level open by themselves, and queue requests in the meantime. */
  #open (done) {
    if (this.#opened) return done(null)
    const db = this.#db
    if (typeof db.isOpen !== 'function' && !db.supports?.deferredOpen) {
      if (db.status === 'opening') return setTimeout(() => this.#open(done), OPENING_POLL)
      if (db.status === 'new' && typeof db.open === 'function') {
        return settle((callback) => db.open(callback), (error) => {
          this.#opened = !error
          done(error)
        })
      }
    }
    this.#opened = true
    done(null)
  }
}

/** Whether an error means that there is no such key. Stores have five ways to say so. */
function isNotFound (error) {
  return error.notFound === true || error.code === 'LEVEL_NOT_FOUND' || error.status === 404 || /^notfound/i.test(error.message)
}

/**
 * Wraps a Level store of any kind for use by the core. Does not use the store yet.
 *
 * @param {object} db
 * @returns {LevelAdapter}
 * @throws {TypeError} `ERR_HYPER_INVALID_ARG` if it is not such a store, or cannot store bytes
 */
function adaptLevel (db) {
  const missing = ['get', 'put', 'batch'].filter((method) => typeof db?.[method] !== 'function')
  if (missing.length === 0 && typeof db.iterator !== 'function' && typeof db.createReadStream !== 'function') {
    missing.push('iterator or createReadStream')
  }
  if (missing.length > 0) throw notADatabase(missing)
  if (typeof db.valueEncoding === 'function') {
    try {
      db.valueEncoding('binary')
    } catch (error) {
      throw databaseWithoutBytes(error)
    }
  }
  return new LevelAdapter(db)
}

module.exports = { adaptLevel, LevelAdapter }
