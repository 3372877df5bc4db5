'use strict'

const { badPort, hostNotString, portMissing } = require('../errors')

/** Ports, hosts and `host:port` keys, checked as Node's `net` checks them. */

/**
 * A port as a number. Throws the same errors as `net.connect`.
 *
 * @param {*} port a number, or its text
 * @param {string} name how the error calls it
 */
function checkPort (port, name = 'Port') {
  if (port === undefined || port === null) throw portMissing()
  const number = typeof port === 'string' && port.trim() !== '' ? Number(port) : port
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number < 65536) return number
  const shown = typeof port === 'string' ? `type string ('${port}')` : typeof port === 'number' ? `type number (${port})` : typeof port
  throw badPort(name, shown)
}

/** A host as text; `localhost` when it is left out. */
function checkHost (host) {
  if (host === undefined || host === null || host === '') return 'localhost'
  if (typeof host === 'string') return host
  throw hostNotString(host)
}

/** A public key as text. */
const KEY = /^ed25519-[a-z2-7]{52}$/

/** Texts that 1.x wrote for hosts that were left out. */
const NO_HOSTS = ['undefined', 'null']

/**
 * The peers of a PEERS record that can be dialled. 1.x also wrote entries that crash it at the next start (inbound links,
 * IPv6 addresses, functions in place of the host); they are skipped.
 *
 * Entries of ours may say how the peer is dialled: its `key`, or that it is dialled with TLS, or plain. If an entry has an
 * unknown word, the peer is not dialled.
 *
 * @param {string} json
 * @returns {{ host: string, port: number, how: object }[]}
 */
function knownPeers (json) {
  const peers = JSON.parse(json)
  if (!Array.isArray(peers)) return []
  const known = []
  for (const peer of peers) {
    const { address, port, key, plain, tls } = peer ?? {}
    if (typeof address !== 'string' || !/^[\w.:%-]+$/.test(address) || NO_HOSTS.includes(address)) continue
    if (key !== undefined && !KEY.test(key)) continue
    if (plain !== undefined && !['read', 'write'].includes(plain)) continue
    const number = typeof port === 'string' && port !== '' ? Number(port) : port
    if (Number.isInteger(number) && number > 0 && number < 65536) known.push({ host: address, port: number, how: { key, plain, tls } })
  }
  return known
}

module.exports = { checkPort, checkHost, knownPeers }
