'use strict'

const { badSubscription } = require('../errors')

/** Milliseconds before the second attempt; doubled before each further one. */
const FIRST_DELAY = 100

/** Longest delay before an attempt, in milliseconds. */
const LONGEST_DELAY = 30_000

/**
 * How long to wait after a failed attempt.
 *
 * @param {string} name the subscription's
 * @param {number | number[] | ((attempt: number, error: Error, entry: object) => number)} [given] milliseconds: one value for
 *   all attempts, a list with a value for each attempt (the last one for all further attempts), or a function of the failed
 *   attempt
 * @param {number} longest milliseconds
 * @returns {(attempt: number, error: Error, entry: object) => number}
 */
function backoffOf (name, given, longest) {
  if (given === undefined) return exponential
  if (typeof given === 'function') return (attempt, error, entry) => Math.min(Math.max(Number(given(attempt, error, entry)) || 0, 0), longest)
  const delays = Array.isArray(given) ? [...given] : [given]
  if (delays.length === 0 || !delays.every((delay) => typeof delay === 'number' && delay >= 0 && delay <= longest)) {
    throw badSubscription(name, `backoff must be milliseconds from 0 to ${longest}, a list of them, or a function`)
  }
  return (attempt) => delays[Math.min(attempt, delays.length) - 1]
}

/** A random part of the delay, between half and all of it, so that entries that failed together are not retried together. */
function exponential (attempt) {
  return Math.min(FIRST_DELAY * 2 ** (attempt - 1), LONGEST_DELAY) * (1 + Math.random()) / 2
}

module.exports = { backoffOf }
