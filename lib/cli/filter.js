'use strict'

const { setTimeout: sleep } = require('node:timers/promises')
const { EXIT, Failure, PipeClosed, describe, refusedLine } = require('./exit')
const { Feed } = require('./feed')
const { lineReader, toLine } = require('./json')
const { beginInput } = require('./resume')
const { lastChange } = require('./reader-position')

/** How often it is checked whether peers have everything, in milliseconds. */
const DRAIN_MS = 50

/**
 * A session as a filter: ndjson in, ndjson out.
 * @param {{context: import('./context').Context, hyper: import('../..'), schema: import('./schema').Schema,
 *   options: Record<string, any>, position: import('./reader-position').ReaderPosition, name: string}} session
 * @returns {Promise<number>} exit code
 */
async function run ({ context, hyper, schema, options, position, name }) {
  const resume = options.db === undefined ? undefined : await beginInput(hyper, name, options.resume)
  const feed = new Feed({
    hyper,
    read: lineReader(schema, options.bytes),
    refused: (number, error) => context.warn(refusedLine(number, error)),
    resume,
    signal: context.signal
  })
  const printing = print(context, hyper, position)
  const feeding = feed.run(context.stdin)
  for (const promise of [printing, feeding]) promise.catch(() => {}) // handled below; ignored if the other one failed first
  let inputEnded = false
  try {
    await Promise.race([feeding, printing, context.output.broken])
    context.signal.throwIfAborted()
    inputEnded = true
    if (options.drain) await context.or(drained(hyper))
    else if (options.port !== undefined || options['target-port'] !== undefined) await context.or(printing)
    await context.or(Promise.race([position.reached(await lastChange(hyper)), printing]))
    await position.end()
  } catch (error) {
    context.stdin.destroy()
    if (error instanceof PipeClosed && !inputEnded && feed.counts.lines > 0) {
      throw new Failure(`the reader of the output went away before the end of input, at line ${feed.counts.lines}`)
    }
    // Waits for the emitted events, so that the stored position and the messages are correct.
    if (context.signal.aborted) await Promise.allSettled([feeding])
    await position.end().catch((failure) => {
      if (!(failure instanceof PipeClosed)) context.warn(describe(failure))
    })
    throw error
  }
  return feed.counts.refused > 0 ? EXIT.FAILED : EXIT.OK
}

/** Prints events for ever. */
async function print (context, hyper, position) {
  for await (const event of hyper.read({ since: position.change, live: true })) {
    const wait = context.output.write(toLine(event))
    if (wait) await wait
    position.at(event.change)
  }
}

/**
 * Resolves when every peer has everything that we have (for 1.x peers: when it was sent), and we have everything that they have
 * announced.
 */
async function drained (hyper) {
  for (;;) {
    const { peers } = await hyper.stats()
    if (peers.every(({ state, behind }) => state === 'standby' || (state === 'live' && behind === 0))) return
    await sleep(DRAIN_MS)
  }
}

module.exports = { run }
