'use strict'

const { inContext } = require('./async-context')

/**
 * Methods that take a callback as the last argument, or return a promise if there is none.
 *
 * Code written for 1.x ignores return values. So if nobody handles the rejection of such a promise, it is not reported as
 * unhandled.
 */

/**
 * Runs `start(callback)`. Without a callback, it returns a promise of the value that `start` passes to its callback.
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
 * A promise of the native half's answer to one request.
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

/** Returns the promise, whose rejection is never reported as unhandled. */
function quiet (promise) {
  promise.catch(ignore)
  return promise
}

function ignore () {}

module.exports = { promised, promisedAnswer, quiet, rejected }
