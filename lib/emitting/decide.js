'use strict'

const { badDecision } = require('../errors')

/** Attempts after the first one, unless the caller says otherwise: more mean that too many decide about the same. */
const MAX_RETRIES = 10

/**
 * Reads what a decision depends on, lets `decider` decide, and appends its events if nothing has happened meanwhile that the
 * query wants. Otherwise all of that is done again.
 *
 * @param {object} emitter
 * @param {{ names?: *, tags?: *, query?: * }} query
 * @param {(events: object[], how: { append: Function, after: number }) => *} decider
 * @param {{ retries?: number, signal?: AbortSignal }} [options]
 * @returns {Promise<*>} what `decider` gave
 */
async function decide (emitter, { names, tags, query }, decider, { retries = MAX_RETRIES, signal } = {}) {
  if (!(Number.isInteger(retries) && retries >= 0)) throw badDecision(`retries must be a whole number from 0, not ${String(retries)}`)
  for (let left = retries; ; left--) {
    const events = []
    const entries = emitter.read({ names, tags, query, signal })
    for await (const entry of entries) events.push(entry)
    const { after } = entries
    let contradicted
    let appended = false
    const append = async (...args) => {
      // What a first call has stored would contradict the second, and another attempt would store it again.
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
