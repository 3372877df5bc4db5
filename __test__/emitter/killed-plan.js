'use strict'

/** What killed.test.js shares with the process that it kills. */

const { ClassicLevel } = require('classic-level')

/** Makes what an emitter takes as its store, from a path. */
const STORES = {
  'a folder': (path) => path,
  'a Level database': (path) => new ClassicLevel(path)
}

/** Appends in flight. */
const IN_FLIGHT = 40

/** Tags of which only one event may exist, and ids with which only one append may be stored. Few, so that most are used again. */
const SEATS = 400
const REQUESTS = 400

/** Whole numbers below a bound, the same each time. */
function random (seed) {
  return (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return Math.floor(seed / 2 ** 32 * below)
  }
}

/** The events of an append. Each says which of how many it is. */
function eventsOf (num, count, tags) {
  return Array.from({ length: count }, (_, at) => ({ name: 'T', payload: { num, foo: `${at + 1} of ${count}` }, tags: at === 0 ? tags : undefined }))
}

/** The append with an id: the same whenever it is made. */
function requestOf (request) {
  return [eventsOf(-request - 1, 1 + request % 4), { id: `request-${request}` }]
}

module.exports = { IN_FLIGHT, REQUESTS, SEATS, STORES, eventsOf, random, requestOf }
