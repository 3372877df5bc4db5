'use strict'

// Opens a log of `count` events, each with one of 100,000 tags. Measures how long it takes to read 100 of them by name, by tag and by
// both, and to read the latest event with a tag. Also measures how many bytes a tag takes in the index, compared with a log without tags.

const path = require('node:path')
const { fork } = require('node:child_process')
const { open, event, options, done, now, folder } = require('../lib/modules')

const { count = 1000000, dir } = options()
const RARE = Math.floor(count / 100)
const DIFFERENT = 100000

async function fill (tagged) {
  const emitter = open('ours', dir)
  await emitter.ready()
  let number = 0
  const worker = async () => {
    while (number < count) {
      const at = number++
      const rare = at % RARE === RARE - 1
      // A name of its own for 100 events, and a tag that those have and, in turn, as many others.
      const tags = tagged ? [rare || at % RARE === 0 ? 'rare' : `user:${at * 7919 % DIFFERENT}`] : undefined
      await emitter.append(rare ? 'rareEvent' : 'userAdded', rare ? Buffer.from('rare') : event, tags && { tags })
    }
  }
  await Promise.all(Array.from({ length: 4096 }, worker))
  await emitter.close()
}

async function indexBytes () {
  const emitter = open('ours', dir)
  await emitter.ready()
  const { sizes } = await emitter.stats()
  await emitter.close()
  return sizes.index
}

/** The step in a process of its own: what it leaves in memory is none of the next one's. */
function step (name, dir) {
  return new Promise((resolve, reject) => {
    const child = fork(__filename, [JSON.stringify({ count, dir, step: name })], { execArgv: ['--expose-gc'] })
    child.on('message', resolve)
    child.on('exit', (code) => { if (code) reject(new Error(`${name} ended with ${code}`)) })
  })
}

/** Milliseconds of a read, the median of five. */
async function read (query, expected) {
  const emitter = open('ours', dir)
  await emitter.ready()
  const times = []
  for (let round = 0; round < 5; round++) {
    const started = now()
    let found = 0
    for await (const entry of emitter.read(query)) found += entry.change > 0 ? 1 : 0
    times.push(now() - started)
    if (found !== expected) throw new Error(`${found} events found, not ${expected}`)
  }
  await emitter.close()
  return times.sort((a, b) => a - b)[2]
}

const steps = {
  async tagged () {
    await fill(true)
    return indexBytes()
  },
  async untagged () {
    await fill(false)
    return indexBytes()
  },
  name: () => read({ names: ['rareEvent'] }, 100),
  tag: () => read({ tags: ['rare'], limit: 100 }, 100),
  both: () => read({ names: ['rareEvent'], tags: ['rare'] }, 100),
  latest: () => read({ tags: ['user:7919'], reverse: true, limit: 1 }, 1)
}

async function main () {
  if (process.send) return process.send(await steps[options().step](), () => process.exit(0))
  const [one, other] = [path.join(folder(), 'db'), path.join(folder(), 'db')]
  const result = {}
  const index = await step('tagged', one)
  result.bytesPerTag = (index - await step('untagged', other)) / count
  for (const name of ['name', 'tag', 'both', 'latest']) result[name] = await step(name, one)
  done(result)
}
main()
