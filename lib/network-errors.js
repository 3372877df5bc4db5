'use strict'

const { getSystemErrorName } = require('node:util')

const { coded } = require('./errors')

/**
 * A failure of the network as Node itself would report it: `err.code` is the system's (`ECONNREFUSED`, `EADDRINUSE`) where
 * there is one, as 1.x users expect.
 *
 * @param {string} code the core's
 * @param {string} message the core's; names the system's error as `(os error N)`
 */
function networkFailure (code, message) {
  const number = /\(os error (\d+)\)/.exec(message)
  if (number !== null) return coded(getSystemErrorName(-Number(number[1])), message)
  if (/failed to lookup address|name or service not known|no address/i.test(message)) return coded('ENOTFOUND', message)
  return coded(code, message)
}

module.exports = { networkFailure }
