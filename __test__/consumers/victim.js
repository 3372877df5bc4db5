'use strict'

/**
 * A process with subscriptions that is killed now and then, for crash.test.js.
 *
 *   node victim.js KIND FOLDER TOTAL POINT COUNT
 *
 * emits T up to number TOTAL, and kills itself with SIGKILL when it reaches POINT for the COUNT-th time. Without a POINT, it
 * ends once everything has been handled. Number POISON kills the process whenever its events are derived.
 */

const fs = require('node:fs')
const path = require('node:path')

const { HyperEmitter, SCHEMA } = require('../emitter/helpers')
const { OPEN } = require('../emitter/stores')
const { POISON, EVERY, ATTEMPTS } = require('./crash-plan')

const [kind, folder, total, point, count] = process.argv.slice(2)
let left = Number(count)

function pass (here) {
  if (here === point && --left <= 0) process.kill(process.pid, 'SIGKILL')
}

async function main () {
  const emitter = new HyperEmitter(OPEN[kind](path.join(folder, 'store')), SCHEMA)
  let last = 0
  for await (const { payload } of emitter.read({ names: 'T', reverse: true, limit: 1 })) last = payload.num

  const file = fs.openSync(path.join(folder, 'effects'), 'a')
  const effects = emitter.subscribe('effects', { names: 'T' }, async ({ payload: { num } }) => {
    pass('before')
    fs.writeSync(file, `${num}\n`)
    pass('effect')
    await null
    pass('after')
  }, { checkpoint: { every: EVERY, within: 5 } })

  const deaths = fs.openSync(path.join(folder, 'deaths'), 'a')
  const derived = emitter.subscribe('derived', { names: 'T' }, async ({ payload: { num } }, context) => {
    context.append('U', { id: num, bar: String(process.pid) }, { tags: [`of:${num}`] })
    if (num === POISON) {
      fs.writeSync(deaths, `${context.attempt}\n`)
      process.kill(process.pid, 'SIGKILL')
    }
    if (num % 7 === 0 && context.attempt === 1) throw new Error('the first attempt fails')
    pass('append')
    if (num % 3 === 0) await new Promise(setImmediate)
    pass('return')
  }, { key: ({ payload }) => payload.num % 5, concurrency: 3, attempts: ATTEMPTS, backoff: 1, checkpoint: { every: EVERY, within: 5 } })

  for (let num = last + 1; num <= total; num++) {
    emitter.emit('T', { num })
    if (num % 10 === 0) await emitter.append('T', { num: ++num })
    pass('emit')
  }
  await emitter.append('U', { id: -1 })
  await Promise.all([effects.caughtUp(), derived.caughtUp()])
  if (point !== undefined && point !== 'none') process.kill(process.pid, 'SIGKILL')
  await emitter.close()
}

main()
