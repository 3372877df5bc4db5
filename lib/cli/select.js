'use strict'

const { Failure, UsageFailure } = require('./exit')
const options = require('./options')

/** Options that say which events are meant. */
const SELECTION = {
  name: { type: 'string', multiple: true, value: 'NAME', help: 'only events of this name; may be given more than once' },
  tag: { type: 'string', multiple: true, value: 'TAG', help: 'only events with this tag; given more than once: with all of them' },
  origin: { type: 'string', multiple: true, value: 'LOG', help: 'only events of this log; the beginning of its id is enough if it fits only one log; may be given more than once' },
  since: { type: 'string', value: 'CHANGE', help: 'only events after this change, or after the event with this cursor (log --json prints cursors)' },
  until: { type: 'string', value: 'CHANGE', help: 'only events up to this change, including it' },
  after: { type: 'string', value: 'TIME', help: 'only events emitted at this time or later: a date, milliseconds, or how long ago (15m, 2h, 7d)' },
  before: { type: 'string', value: 'TIME', help: 'only events emitted before this time' }
}

/** Options that say how many of these events are meant. */
const SLICE = {
  tail: { type: 'string', short: 'n', value: 'N', help: 'only the newest N of them' },
  limit: { type: 'string', value: 'N', help: 'the same as --tail' },
  head: { type: 'string', value: 'N', help: 'only the oldest N of them' }
}

/** Most logs that a message names. */
const NAMED = 4

/** Whether the text that says where to start is a cursor: those have colons. */
function isCursor (text) {
  return typeof text === 'string' && text.includes(':')
}

/** @returns the part of a selection that the store itself evaluates, for `read` */
function range (values) {
  const since = isCursor(values.since) ? values.since : options.integer(values, 'since')
  const until = options.integer(values, 'until')
  return {
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(values.name && { names: values.name }),
    ...(values.tag && { tags: values.tag })
  }
}

/**
 * The logs that --origin means.
 * @param {import('../..')} hyper
 * @param {string[]|undefined} origins ids, or beginnings of ids
 * @param {boolean} [live] whether an unknown id is allowed, because its log may still come
 * @returns {Promise<Set<string>|undefined>} undefined: all
 * @throws {Failure} there is no such log, or more than one
 */
async function logsOf (hyper, origins, live = false) {
  if (!origins) return undefined
  const { logs } = await hyper.stats()
  return new Set(origins.map((origin) => {
    const found = logs.map(({ log }) => log).filter((log) => log.startsWith(origin))
    if (found.length === 1 || found.includes(origin)) return found.length === 1 ? found[0] : origin
    if (found.length > 1) {
      const named = found.slice(0, NAMED).join(', ') + (found.length > NAMED ? ', …' : '')
      throw new Failure(`--origin ${origin} may mean any of ${found.length} logs (${named}): give more of the id`)
    }
    if (!live) throw new Failure(`--origin ${origin}: no log in this store has an id that begins with this text; hypem stats lists the logs`)
    return origin
  }))
}

/**
 * @returns {(event: object) => boolean} the other part of the selection. Events of 1.x have no time, so a selection by time
 *          leaves them out.
 */
function predicate (values, logs) {
  const after = options.time(values, 'after')
  const before = options.time(values, 'before')
  return ({ log, time }) =>
    (!logs || logs.has(log)) &&
    (after === undefined || time >= after) &&
    (before === undefined || time < before)
}

/**
 * How many of the events selected are wanted.
 * @param {Record<string, any>} values
 * @returns {{head?: number, tail?: number}}
 */
function slice (values) {
  const given = Object.keys(SLICE).filter((name) => values[name] !== undefined)
  if (given.length > 1) throw new UsageFailure(`--${given[0]} and --${given[1]} exclude each other`)
  return { head: options.integer(values, 'head'), tail: options.integer(values, 'tail') ?? options.integer(values, 'limit') }
}

/**
 * The events selected: the oldest first, or, with `reverse`, the newest first.
 * @param {import('../..')} hyper
 * @param {Record<string, any>} values of the options above
 * @param {{reverse?: boolean, live?: boolean, head?: number, tail?: number}} [how] `head`: only this many of the oldest events;
 *   `tail`: only this many of the newest (and, with `live`, those that come after them)
 */
async function * select (hyper, values, { head, tail, reverse = false, live = false } = {}) {
  const wanted = predicate(values, await logsOf(hyper, values.origin, live))
  const { since: after = 0, until, ...rest } = range(values)
  // With a tail it is compared with changes, so a cursor has to be resolved.
  const since = live && isCursor(after) ? await hyper.caughtUp(after) : after
  const matching = async function * (how, limit = Infinity) {
    if (limit === 0) return
    for await (const event of hyper.read({ since, ...(until !== undefined && { until }), ...rest, ...how })) {
      if (!wanted(event)) continue
      yield event
      if (--limit === 0) return
    }
  }
  // Finds the nth event from an end first, so that only one event is kept in memory, however many are wanted.
  const change = async (how, nth) => {
    let last
    for await (const event of matching({ ...how, raw: true }, nth)) last = event.change
    return last
  }
  if (reverse) {
    if (head === undefined) return yield * matching({ reverse }, tail)
    const last = await change({}, head)
    if (last !== undefined) yield * matching({ reverse, until: last })
  } else {
    if (tail === undefined) return yield * matching({ live }, head)
    const end = live ? (await hyper.stats()).change : until
    const first = tail === 0 ? undefined : await change({ reverse: true, ...(end !== undefined && { until: end }) }, tail)
    if (first !== undefined) yield * matching({ live, since: first - 1 })
    else if (live) yield * matching({ live, since: Math.max(since, end) })
  }
}

module.exports = { SELECTION, SLICE, range, slice, select }
