'use strict'

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
  for (let left = retries; ; left--) {
    const events = []
    const entries = emitter.read({ names, tags, query, signal })
    for await (const entry of entries) events.push(entry)
    const { after } = entries
    let contradicted
    const append = (...args) => {
      const at = Array.isArray(args[0]) ? 1 : 2
      args[at] = { ...args[at], failIf: { names, tags, query, after } }
      return emitter.append(...args).catch((error) => {
        contradicted = error
        throw error
      })
    }
    try {
      return await decider(events, { append, after })
    } catch (error) {
      if (left <= 0 || error !== contradicted || error.code !== 'ERR_HYPER_CONDITION') throw error
    }
  }
}

module.exports = decide
