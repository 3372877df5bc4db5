'use strict'

/**
 * Calls a method of unknown style: it may take a callback, return a promise and ignore the callback, or do both. `done` is
 * called once.
 *
 * @param {(callback: Function) => any} call makes the call with the callback it is given
 * @param {(error: Error | null, result?: any, more?: any) => void} done
 */
function settle (call, done) {
  let open = true
  const finish = (error, result, more) => {
    if (!open) return
    open = false
    done(error || null, result, more)
  }
  let returned
  try {
    returned = call(finish)
  } catch (error) {
    return finish(error)
  }
  // Handled even if the callback came first, so that a rejection is never unhandled.
  if (typeof returned?.then === 'function') returned.then((result) => finish(null, result), (error) => finish(error || new Error('rejected')))
}

module.exports = settle
