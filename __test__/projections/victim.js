'use strict'

/**
 * A process with projections that kills itself, for crash.test.js.
 *
 *   node victim.js KIND FOLDER RUN TOTAL POINT COUNT
 *
 * emits T up to number TOTAL, and kills itself with SIGKILL when it reaches POINT for the COUNT-th time. Without a POINT, it
 * ends once everything is in the states.
 */

const { HyperEmitter, SCHEMA } = require('../emitter/helpers')
const { OPEN } = require('../emitter/stores')
const { partsOf } = require('../consumers/helpers')
const { projections } = require('./crash-plan')

const [kind, folder, run, total, point, count] = process.argv.slice(2)
let left = Number(count)

function pass (here) {
  if (here === point && --left <= 0) process.kill(process.pid, 'SIGKILL')
}

async function main () {
  const emitter = new HyperEmitter(OPEN[kind](folder), SCHEMA)
  let last = 0
  for await (const { payload } of emitter.read({ names: 'T', reverse: true, limit: 1 })) last = payload.num
  const { kept } = partsOf(emitter).projections
  const set = kept.set.bind(kept)
  kept.set = async (values) => {
    pass('store')
    const stored = set(values)
    pass('storing')
    await stored
    pass('stored')
  }
  const all = Object.entries(projections(Number(run))).map(([name, definition]) => emitter.project(name, {
    ...definition,
    on: {
      T (state, payload, entry) {
        pass('reduce')
        return definition.on.T(state, payload, entry)
      }
    }
  }))
  for (let num = last + 1; num <= total; num++) {
    emitter.emit('T', { num, foo: `key ${num % 7}` })
    if (num % 10 === 0) await emitter.append('T', { num: ++num, foo: `key ${num % 7}` })
    pass('emit')
  }
  await Promise.all(all.map((projection) => projection.caughtUp()))
  if (point !== 'none') process.kill(process.pid, 'SIGKILL')
  await emitter.close()
}

main()
