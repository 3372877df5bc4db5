'use strict'

/**
 * A process that appends batches, with conditions and ids, until it kills itself, for killed.test.js.
 *
 *   node appending-victim.js STORE FOLDER RUN COUNT
 *
 * opens `STORES[STORE]` in FOLDER and kills itself with SIGKILL when the COUNT-th append has been acknowledged, while others are in
 * flight. The acknowledged events are in FOLDER/acknowledged: change, number and place in the append of each.
 */

const fs = require('node:fs')
const path = require('node:path')

const { HyperEmitter, SCHEMA } = require('./helpers')
const { IN_FLIGHT, REQUESTS, SEATS, STORES, eventsOf, random, requestOf } = require('./killed-plan')

const [store, folder, run, count] = process.argv.slice(2)
const draw = random(Number(run))
const acknowledged = fs.openSync(path.join(folder, 'acknowledged'), 'a')
const emitter = new HyperEmitter(STORES[store](path.join(folder, 'store')), SCHEMA)
let left = Number(count)
let last = 0

/** A call of `append` as its arguments. */
function next () {
  const num = Number(run) * 1_000_000 + ++last
  const kind = draw(3)
  if (kind === 0) return [eventsOf(num, 1 + draw(4))]
  if (kind === 1) {
    const seat = `seat:${draw(SEATS)}`
    return [eventsOf(num, 1 + draw(3), [seat]), { failIf: { tags: seat } }]
  }
  return requestOf(draw(REQUESTS))
}

function stored (nodes, events) {
  fs.writeSync(acknowledged, nodes.map(({ change }, at) => `${change} ${events[at].payload.num} ${events[at].payload.foo}\n`).join(''))
  if (--left === 0) process.kill(process.pid, 'SIGKILL')
}

function refused (error) {
  if (error.code === 'ERR_HYPER_CONDITION') return
  console.error(error)
  process.exit(1)
}

async function main () {
  const waiting = new Set()
  while (true) {
    const [events, options] = next()
    const answer = emitter.append(events, options).then((nodes) => stored(nodes, events), refused).finally(() => waiting.delete(answer))
    waiting.add(answer)
    if (waiting.size >= IN_FLIGHT) await Promise.race(waiting)
  }
}

main()
