'use strict'

const { forTerminal } = require('../escape')
const { EXIT, Interrupted, UsageFailure, explain } = require('../exit')
const { LINKS, hasLinks, meet } = require('../links')

module.exports = {
  name: 'relay',
  summary: 'store and forward the events of peers, whatever they are',
  usage: ['relay [--db DIR] --port PORT [--host HOST] [--connect HOST:PORT]...'],
  description: [
    'A peer without listeners and without a schema: it keeps the events of everybody who connects, and passes them on. It runs until SIGINT or SIGTERM, which end it cleanly with exit code 0.',
    'Peers that the store remembers from earlier are connected to again. A relay that listens announces its address in the log, as every listening emitter does.'
  ],
  operands: [],
  options: {
    db: { type: 'string', value: 'DIR', help: 'keep the events there (memory without it: then they are gone with the process)' },
    ...LINKS,
    quiet: { type: 'boolean', short: 'q', help: 'do not report peers that come and go' }
  },
  exits: [['0', 'ended by SIGINT or SIGTERM']],
  examples: [['A relay between two sites', 'hypem relay --db relay --port 1234 --host 0.0.0.0 --connect other.example.org:1234']],
  async run (context, values) {
    if (!hasLinks(values)) {
      throw new UsageFailure('nothing to relay: --port, --target-port or --connect is needed')
    }
    const say = (text) => context.print(`${forTerminal(text)}\n`)
    const hyper = await context.open(values.db, null, { dial: true })
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
