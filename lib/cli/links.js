'use strict'

const options = require('./options')
const { UsageFailure } = require('./exit')
const { TRUST, followPeers } = require('./trust')

/** Options of commands that replicate. */
const LINKS = {
  port: { type: 'string', value: 'PORT', help: 'listen for peers on this port; 0 means any free port' },
  host: { type: 'string', value: 'HOST', help: 'the address to listen on; default: localhost' },
  'target-port': { type: 'string', value: 'PORT', help: 'connect to the peer that listens on this port' },
  'target-host': { type: 'string', value: 'HOST', help: 'the host of that peer; default: localhost' },
  connect: { type: 'string', multiple: true, value: 'HOST:PORT', help: 'connect to this peer; with KEY@HOST:PORT, only if it has this public key; may be given more than once' },
  ...TRUST
}

/** `host:port`, `[::1]:port` or `port`, with `key@` in front @returns {{host: string, port: number, key?: string}} */
function address (text) {
  const match = /^(?:([a-z0-9-]+)@)?(?:\[([^\]]+)\]:|([^:@]+):)?(\d{1,5})$/.exec(text)
  if (!match || Number(match[4]) > 65535) throw new UsageFailure(`--connect ${text}: it must be HOST:PORT or KEY@HOST:PORT`)
  return { host: match[2] ?? match[3] ?? 'localhost', port: Number(match[4]), ...(match[1] && { key: match[1] }) }
}

/** The peers to connect to. */
function targets (values) {
  const port = options.port(values, 'target-port')
  return [
    ...(port === undefined ? [] : [{ host: values['target-host'] ?? 'localhost', port }]),
    ...(values.connect ?? []).map(address)
  ]
}

/** Whether any peer is asked for. */
function hasLinks (values) {
  return ['port', 'target-port', 'connect'].some((name) => values[name] !== undefined)
}

/**
 * Listens and connects as asked.
 * @param {import('./context').Context} context
 * @param {import('../..')} hyper
 * @param {Record<string, any>} values of the options above
 * @param {(text: string) => void} say
 */
async function meet (context, hyper, values, say) {
  const port = options.port(values, 'port')
  const peers = targets(values)
  followPeers(context, hyper, values)
  if (port !== undefined) {
    const bound = await context.or(hyper.listen(port, values.host ?? 'localhost'))
    say(`listening on ${bound.port} ${bound.address}`)
  }
  await context.or(Promise.all(peers.map(async ({ host, port, key }) => {
    await hyper.connect(port, host, { key })
    say(`connected to ${host} ${port}`)
  })))
}

module.exports = { LINKS, address, targets, hasLinks, meet }
