'use strict'

const { getSystemErrorMap } = require('node:util')

const { coded } = require('./errors')

/**
 * Failures of the network worded as Node words them, which 1.x passed on: `err.code` is the system's (`ECONNREFUSED`,
 * `EADDRINUSE`) where there is one. The core's error, with more detail, is the cause.
 */

const WORDS = new Map(Array.from(getSystemErrorMap().values()))

/** What a link, or the attempt to get one, ended with. */
function linkFailure (code, message, key) {
  const system = systemCode(message)
  if (code !== 'ERR_HYPER_CONNECT') return coded(code, message)
  if (/premature close/.test(message)) return coded(code, 'premature close')
  if (system === undefined) return coded(code, message)
  if (system === 'ENOTFOUND' || system === 'EAI_AGAIN') {
    return explained(system, `getaddrinfo ${system} ${key.slice(0, key.lastIndexOf(':'))}`, message)
  }
  return explained(system, system === 'ECONNRESET' ? 'read ECONNRESET' : `connect ${system} ${key}`, message)
}

/** Why an address cannot be bound. */
function listenFailure ({ code, message }, host, port) {
  const system = systemCode(message)
  if (system === undefined) return coded(code, message)
  return explained(system, `listen ${system}: ${WORDS.get(system) ?? 'failed'} ${host ?? '::'}:${port}`, message)
}

function explained (code, message, cause) {
  return Object.assign(coded(code, message), { cause: new Error(cause) })
}

/** The core ends its reasons with the system's name in parentheses. */
function systemCode (message) {
  return /\((E[A-Z_0-9]+)\)/.exec(message)?.[1]
}

module.exports = { linkFailure, listenFailure }
