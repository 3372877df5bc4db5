'use strict'

const { forTerminal } = require('../escape')
const { EXIT, Interrupted, UsageFailure, explain } = require('../exit')
const { LINKS, hasLinks, meet } = require('../links')

module.exports = {
  name: 'relay',
  summary: 'keep the events of all peers, and pass them on',
  usage: ['relay [--db DIR] --port PORT [--host HOST] [--connect HOST:PORT]...'],
  description: [
    'A peer that needs no schema: it keeps the events of all peers that connect to it, and passes them on to the others. It runs until Ctrl-C or SIGTERM; both end it cleanly, with exit code 0.',
    'With --db it also connects to the peers that the store remembers. A relay that listens announces its address with an event EventPeer, as every emitter that listens does.'
  ],
  operands: [],
  options: {
    db: { type: 'string', value: 'DIR', help: 'keep the events in this folder. Without --db they are kept in memory, and are gone when the relay ends' },
    ...LINKS,
    quiet: { type: 'boolean', short: 'q', help: 'do not report when peers connect and disconnect' }
  },
  exits: [['0', 'ended by Ctrl-C or SIGTERM']],
  examples: [['A relay between two sites', 'hypem relay --db relay --port 1234 --host 0.0.0.0 --connect other.example.org:1234']],
  async run (context, values) {
    if (!hasLinks(values)) {
      throw new UsageFailure('a relay needs peers: give --port, --target-port or --connect')
    }
    const say = (text) => context.print(`${forTerminal(text)}\n`)
    const hyper = await context.open(values.db, null, { dial: true, trust: values })
    if (!values.quiet) report(hyper, say)
    try {
      await meet(context, hyper, values, say)
      await context.or(new Promise(() => {}))
    } catch (error) {
      if (error instanceof Interrupted && error.signal !== 'SIGHUP') return EXIT.OK
      throw error
    }
  }
}

function report (hyper, say) {
  hyper.status.on('peerConnected', () => say('a peer has connected'))
  hyper.status.on('peerError', (error) => say(`a peer is gone: ${explain(error)}`))
  hyper.status.on('connectionError', (error) => say(`a link has ended: ${explain(error)}`))
}
