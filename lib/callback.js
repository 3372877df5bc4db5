'use strict'

const { inContext } = require('./async-context')

/**
 * Callback last, or a promise when there is none.
 *
 * Code written for 1.x ignores return values, so a promise that nobody looks at never becomes an unhandled rejection.
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

/** The same promise; ignoring it is harmless. */
function quiet (promise) {
  promise.catch(ignore)
  return promise
}

function ignore () {}

module.exports = { promised, quiet }
