'use strict'

const { isUint8Array } = require('node:util/types')

const settle = require('./settle')

/** Rows taken from an iterator at a time. */
const ROWS = 1024

/**
 * Reads a range through the database's iterator, or through a read stream if it has none.
 *
 * @param {object} db
 * @param {object} options the range and the encodings
 * @param {(error: Error | null, rows?: [Buffer, Buffer][]) => void} done
 */
function readRange (db, options, done) {
  if (typeof db.iterator === 'function') iterate(db, options, done)
  else stream(db, options, done)
}

function iterate (db, options, done) {
  let iterator
  try {
    iterator = db.iterator(options)
  } catch (error) {
    return done(error)
  }
  const rows = []
  const finish = (failure) => {
    const end = typeof iterator.close === 'function' ? 'close' : 'end'
    settle((callback) => iterator[end](callback), (error) => failure || error ? done(failure || error) : done(null, rows))
  }
  const many = typeof iterator.nextv === 'function'
  const ask = many
    ? (callback) => iterator.nextv(ROWS, callback)
    : (callback) => iterator.next(callback)
  // A store that answers immediately is read in a loop, because recursion would overflow the stack.
  let asking = false
  let again = false
  const next = () => {
    again = true
    if (asking) return
    asking = true
    while (again) {
      again = false
      settle(ask, take)
    }
    asking = false
  }
  const take = (error, found, value) => {
    if (error) return finish(error)
    if (many) {
      for (const [key, value] of found) rows.push([bytes(key), bytes(value)])
      return found.length === 0 ? finish() : next()
    }
    // A callback gets key and value; a promise gets both in an array. At the end there is neither.
    const [key, its] = Array.isArray(found) ? found : [found, value]
    if (key === undefined && its === undefined) return finish()
    rows.push([bytes(key), bytes(its)])
    next()
  }
  next()
}

function stream (db, options, done) {
  let source
  try {
    source = db.createReadStream(options)
  } catch (error) {
    return done(error)
  }
  const rows = []
  let open = true
  const finish = (error) => {
    if (!open) return
    open = false
    error ? done(error) : done(null, rows)
  }
  source.on('data', ({ key, value }) => rows.push([bytes(key), bytes(value)]))
  source.on('error', finish)
  source.on('end', () => finish())
  source.on('close', () => finish(new Error('the store closed the read before its end')))
}

/** A key or value as bytes, whatever type the store returned. */
function bytes (value) {
  if (Buffer.isBuffer(value)) return value
  if (isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return Buffer.from(String(value))
}

module.exports = { readRange, bytes }
