'use strict'

const { constants: { errno } } = require('node:os')
const { getSystemErrorMap } = require('node:util')

const { failure, systemError } = require('../errors')

/**
 * Network failures in Node's words, because 1.x passed on Node's errors. `err.code` is the system's (`ECONNREFUSED`,
 * `EADDRINUSE`) if there is one. The core's error, which has more details, is the cause.
 */

const WORDS = new Map(Array.from(getSystemErrorMap().values()))

/** The system call by error code, for errors of an established connection; all others come from `connect`. */
const CALLS = { ECONNRESET: 'read', EPIPE: 'write' }

/**
 * The error with which a link, or an attempt to connect, ended.
 *
 * @param {object} notice of the native half
 * @param {string} key the link's: `host:port`
 */
function linkFailure (notice, key) {
  const { code, message, system } = notice
  if (system === undefined || code !== 'ERR_HYPER_CONNECT') return failure(notice)
  const colon = key.lastIndexOf(':')
  const where = { address: key.slice(0, colon), port: Number(key.slice(colon + 1)) }
  if (system === 'ENOTFOUND' || system === 'EAI_AGAIN') {
    return explained(system, 'getaddrinfo', `getaddrinfo ${system} ${where.address}`, message, { hostname: where.address })
  }
  const call = CALLS[system]
  if (call !== undefined) return explained(system, call, `${call} ${system}`, message)
  return explained(system, 'connect', `connect ${system} ${key}`, message, where)
}

/** Why an address cannot be bound; `error` is the native half's. */
function listenFailure (error, host, port) {
  const { message, system } = error
  if (system === undefined) return error
  const address = host ?? '::'
  const words = `listen ${system}: ${WORDS.get(system) ?? 'failed'} ${address}:${port}`
  return explained(system, 'listen', words, message, { address, port })
}

/** An error with the fields of Node's own errors. */
function explained (code, syscall, message, cause, fields = {}) {
  const number = errno[code] === undefined ? {} : { errno: -errno[code] }
  return systemError(code, message, { ...number, syscall, ...fields, cause: new Error(cause) })
}

module.exports = { linkFailure, listenFailure }
