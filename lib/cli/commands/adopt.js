'use strict'

const { setTimeout: sleep } = require('node:timers/promises')
const { forJson, forTerminal } = require('../escape')
const { Failure, UsageFailure } = require('../exit')
const { LINKS, hasLinks, meet } = require('../links')

/** How often the links are checked, in milliseconds. */
const LOOK_MS = 50

module.exports = {
  name: 'adopt',
  summary: 'resolve a forked log: take the version that peers hold',
  usage: ['adopt DB LOG --connect HOST:PORT [--key KEY] [--json]'],
  description: [
    'If a store was copied and both copies were written, there are two versions of a log (ERR_HYPER_FORK). Each side gets the version of the other as a separate log, whose id begins with fork-. This command connects to a peer, and takes the peer\'s version of LOG in place of the version in DB.',
    'Nothing is lost: the events of LOG that only DB holds move to a new log, whose id is printed, and are sent to all peers. Run this on only one of the two sides.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }, { name: 'LOG', value: 'LOG' }],
  options: {
    key: { type: 'string', value: 'KEY', help: 'the version to take, if peers hold several: the key of its first entry that differs' },
    ...LINKS,
    json: { type: 'boolean', help: 'print one JSON object: log, seq, moved' }
  },
  exits: [['1', 'no peer holds another version of LOG, or the version did not arrive']],
  examples: [['Take the version of the original', 'hypem adopt copy cjx5w8ca40000q7l2v5yd3f8k --connect original.example.org:1234']],
  async run (context, values, [db, log]) {
    if (!hasLinks(values)) throw new UsageFailure('the version comes from a peer: give --connect, --target-port or --port')
    const hyper = await context.open(db, null, { mustExist: true, dial: true, trust: values })
    await meet(context, hyper, values, (text) => context.warn(text))
    const { seq } = await context.or(forked(hyper, log))
    const moved = await context.or(hyper.adopt(log, { key: values.key }))
    await context.or(level(hyper, log))
    if (values.json) await context.print(forJson({ log, seq, moved }, 2) + '\n')
    else await context.print(`the peers' version of ${forTerminal(log)} is here; what this store had in it from entry ${seq} on is now in ${forTerminal(moved)}\n`)
  }
}

/** Resolves to what is known about the fork, once a link has found it. */
async function forked (hyper, log) {
  for (;;) {
    const { stuck, peers, logs } = await hyper.stats()
    const found = stuck.find((each) => each.log === log)
    if (found) return found
    if (!logs.some((each) => each.log === log)) throw new Failure(`there is no log ${log} in this store; hypem stats lists them`)
    if (peers.length > 0 && peers.every(isLevel)) throw new Failure(`no peer that is connected holds another version of ${log}: there is nothing to adopt`)
    await sleep(LOOK_MS)
  }
}

/** Resolves once the peers' version has arrived. */
async function level (hyper, log) {
  for (;;) {
    const { stuck, peers } = await hyper.stats()
    if (peers.length > 0 && peers.every(isLevel) && !stuck.some((each) => each.log === log)) return
    await sleep(LOOK_MS)
  }
}

function isLevel ({ state, behind }) {
  return state === 'standby' || (state === 'live' && behind === 0)
}
