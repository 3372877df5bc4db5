'use strict'

// Appends to an event store: durable, `window` in flight, at the end of a log of `count` events, each with one of 100,000 tags.
//   plain, tagged   single events, without and with a tag
//   known           with the condition that no event after the end that the log had at the start has the event's tag
//   fresh           with the condition that no event has ever had the event's tag, which is new
//   batch           lists of `batch` events, as many in flight as have `window` events together
//   batches         the same, BATCHES of them in flight
// `modes` take turns, a slice of time each, in one process and on one log; the result has the events per second of each, and the
// processor time of an event over all threads, and how many events share a flush.

const { open, event, options, done, now, folder } = require('../lib/modules')

const { count = 0, window = 1024, modes = ['plain'], batch = 100, slices = 6, ms = 500, tags: different = 100000 } = options()
const emitter = open('ours', folder())
const rates = Object.fromEntries(modes.map((mode) => [mode, []]))
const costs = Object.fromEntries(modes.map((mode) => [mode, []]))
const groupings = Object.fromEntries(modes.map((mode) => [mode, []]))
const list = Array.from({ length: batch }, () => ({ name: 'userAdded', payload: event }))
let number = 0
let end = 0

/** Lists in flight: few callers, each with a list of its own. */
const BATCHES = 32

const isBatch = (mode) => mode === 'batch' || mode === 'batches'
const flights = { batch: Math.max(1, Math.round(window / batch)), batches: BATCHES }

const calls = {
  plain: () => emitter.append('userAdded', event),
  tagged: () => emitter.append('userAdded', event, { tags: [`user:${number++ % different}`] }),
  known () {
    const tags = [`user:${number++ % different}`]
    return emitter.append('userAdded', event, { tags, failIf: { tags, after: end } })
  },
  fresh () {
    const tags = [`request:${number++}`]
    return emitter.append('userAdded', event, { tags, failIf: { tags } })
  },
  batch: () => emitter.append(list),
  batches: () => emitter.append(list)
}

/** Calls per second with `flight` under way, until `until` says that it is enough. */
async function run (call, flight, until) {
  let calls = 0
  const started = now()
  const worker = async () => {
    for (; !until(calls, now() - started); calls++) await call()
  }
  await Promise.all(Array.from({ length: flight }, worker))
  return calls / (now() - started) * 1000
}

async function main () {
  await emitter.ready()
  await run(calls.tagged, 4096, (calls) => calls >= count)
  // The first slices warm up what they need.
  for (let slice = -modes.length; slice < slices * modes.length; slice++) {
    const mode = modes[(slice + modes.length) % modes.length]
    // A tag is used once for each condition: 100,000 appends would contradict each other from the second round on.
    if (mode === 'known') end = (await emitter.append('userAdded', event)).change
    const from = number
    const { commits } = await emitter.stats()
    const spent = process.cpuUsage()
    const started = now()
    const rate = await run(calls[mode], flights[mode] ?? window,
      (_, passed) => passed >= ms || (mode === 'known' && number - from >= different))
    const { user, system } = process.cpuUsage(spent)
    const each = isBatch(mode) ? batch : 1
    if (slice < 0) continue
    groupings[mode].push(rate * each * (now() - started) / 1000 / ((await emitter.stats()).commits - commits))
    rates[mode].push(rate * each)
    costs[mode].push((user + system) / (rate * each * (now() - started) / 1000))
  }
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]
  const medians = (all) => Object.fromEntries(modes.map((mode) => [mode, median(all[mode])]))
  done({ rates: medians(rates), cpuMicroseconds: medians(costs), groupings: medians(groupings), appended: number })
}
main()
