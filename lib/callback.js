'use strict'

const { inContext } = require('./async-context')

/**
 * Methods take a callback as the last argument, or return a promise without one.
 *
 * Code written for 1.x ignores return values, so the rejection of a promise that nobody handles is not reported as unhandled.
 */

/**
 * Runs `start(callback)`; without a callback returns a promise for its second argument.
 *
 * @template T
 * @param {((error: Error | null | undefined, value?: T) => void) | undefined} callback
 * @param {(callback: (error?: Error | null, value?: T) => void) => void} start
 * @returns {Promise<T> | undefined}
 */
function promised (callback, start) {
  if (typeof callback === 'function') {
    start(inContext(callback))
    return undefined
  }
  return quiet(new Promise((resolve, reject) => {
    start((error, value) => error ? reject(error) : resolve(value))
  }))
}

/**
 * A promise of the answer to one question to the native half.
 *
 * @template T
 * @param {import('./native/requests')} requests
 * @param {(id: number) => void} ask
 * @param {(answer: object) => T} convert
 * @param {object} [how] see `Requests.ask`
 * @returns {Promise<T>}
 */
function promisedAnswer (requests, ask, convert, how) {
  return quiet(new Promise((resolve, reject) => {
    requests.ask(ask, (error, answer) => error ? reject(error) : resolve(convert(answer)), how)
  }))
}

/** A promise that is rejected with `error`. */
function rejected (error) {
  return quiet(Promise.reject(error))
}

/** The same promise, which may be ignored: its rejection is never unhandled. */
function quiet (promise) {
  promise.catch(ignore)
  return promise
}

function ignore () {}

module.exports = { promised, promisedAnswer, quiet, rejected }
