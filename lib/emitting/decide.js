'use strict'

const { badDecision } = require('../errors')
const checkKeys = require('../known-keys')
const { SEARCH_KEYS } = require('../log/query')

/** Default number of further attempts. If they are not enough, too many emitters decide about the same thing. */
const MAX_RETRIES = 10

/**
 * Reads the events of a query, lets `decider` decide, and appends its events, if no further event that matches the query has
 * been stored in the meantime. Otherwise it starts again.
 *
 * @param {object} emitter
 * @param {{ names?: *, tags?: *, query?: * }} search
 * @param {(events: object[], how: { append: Function, after: number }) => *} decider
 * @param {{ retries?: number, signal?: AbortSignal }} [options]
 * @returns {Promise<*>} what `decider` returned
 */
async function decide (emitter, search, decider, options = {}) {
  if (search === null || typeof search !== 'object') throw badDecision('its query must be an object with names, tags or query')
  if (typeof decider !== 'function') throw badDecision('its second argument must be a function of the events')
  checkKeys('the query of decide', search, SEARCH_KEYS)
  checkKeys('decide', options, ['retries', 'signal'])
  const { names, tags, query } = search
  const { retries = MAX_RETRIES, signal } = options
  if (!(Number.isInteger(retries) && retries >= 0)) throw badDecision(`retries must be a whole number from 0, not ${String(retries)}`)
  for (let left = retries; ; left--) {
    const events = []
    const entries = emitter.read({ names, tags, query, signal })
    for await (const entry of entries) events.push(entry)
    const { after } = entries
    let contradicted
    let appended = false
    const append = async (...args) => {
      // The events of a first call would contradict the second call, and a further attempt would store them again.
      if (appended) throw badDecision('append may be called once for a decision; give it a list of all events')
      appended = true
      const at = Array.isArray(args[0]) ? 1 : 2
      args[at] = { ...args[at], failIf: { names, tags, query, after } }
      try {
        return await emitter.append(...args)
      } catch (error) {
        contradicted = error
        throw error
      }
    }
    try {
      return await decider(events, { append, after })
    } catch (error) {
      if (left <= 0 || error !== contradicted || error.code !== 'ERR_HYPER_CONDITION') throw error
    }
  }
}

module.exports = decide
