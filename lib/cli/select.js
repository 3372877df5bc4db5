'use strict'

const options = require('./options')

/** Options that say which events are meant. */
const SELECTION = {
  name: { type: 'string', multiple: true, value: 'NAME', help: 'only events of this name; may be given several times' },
  origin: { type: 'string', multiple: true, value: 'LOG', help: 'only events of this log (an unambiguous beginning of its id will do); may be given several times' },
  since: { type: 'string', value: 'CHANGE', help: 'only events after this change' },
  until: { type: 'string', value: 'CHANGE', help: 'only events up to and with this change' },
  after: { type: 'string', value: 'TIME', help: 'only events emitted at this time or later: a date, milliseconds, or how long ago (15m, 2h, 7d)' },
  before: { type: 'string', value: 'TIME', help: 'only events emitted before this time' }
}

/** @returns the part of a selection that a store does by itself, for `read` */
function range (values) {
  const since = options.integer(values, 'since')
  const until = options.integer(values, 'until')
  return {
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(values.name && { names: values.name })
  }
}

/**
 * @returns {(event: object) => boolean} the rest of it. Events of 1.x carry no time: a selection by time leaves them out.
 */
function predicate (values) {
  const after = options.time(values, 'after')
  const before = options.time(values, 'before')
  const origins = values.origin
  return ({ log, time }) =>
    (!origins || origins.some((origin) => log.startsWith(origin))) &&
    (after === undefined || time >= after) &&
    (before === undefined || time < before)
}

/**
 * The events selected.
 * @param {import('../..')} hyper
 * @param {Record<string, any>} values of the options above
 * @param {{reverse?: boolean, live?: boolean, limit?: number}} [how]
 */
async function * select (hyper, values, { limit, ...how } = {}) {
  const wanted = predicate(values)
  let left = limit ?? Infinity
  if (left === 0) return
  for await (const event of hyper.read({ ...range(values), ...how })) {
    if (!wanted(event)) continue
    yield event
    if (--left === 0) return
  }
}

module.exports = { SELECTION, range, predicate, select }
