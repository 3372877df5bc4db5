'use strict'

const { isIP } = require('node:net')
const tls = require('node:tls')

const { timedOut } = require('../errors')

/** Links over Node's own TLS. All options are passed to node:tls. */

/**
 * How long a peer may take for its handshake, and the user's function for its decision about the certificate, in milliseconds.
 * The native half's limit for other handshakes is the same.
 */
const HANDSHAKE_MS = 10_000

/** Most TLS connections of a server: as many as the native half has slots for inbound links. */
const MAX_CONNECTIONS = 1024

/**
 * Dials. Calls back with the socket once the peer's certificate has been checked, or with the failure.
 *
 * @param {string} host
 * @param {number} port
 * @param {import('node:tls').ConnectionOptions} options
 * @param {(error: Error | null, socket?: tls.TLSSocket) => void} callback
 */
function dialTls (host, port, options, callback) {
  const socket = tls.connect({ servername: serverName(host), ...options, host, port })
  const settle = (error) => {
    clearTimeout(timer)
    socket.off('error', settle).off('secureConnect', connected)
    callback(error, socket)
  }
  const connected = () => settle(null)
  // A peer that does not answer is not a wrong peer.
  const timer = setTimeout(() => socket.destroy(timedOut(host, port)), HANDSHAKE_MS)
  ignoreErrors(socket)
  socket.on('error', settle).on('secureConnect', connected)
}

/** The server name to send, which travels unencrypted; addresses must not be sent as names (RFC 6066, section 3). */
function serverName (host) {
  return isIP(host) === 0 ? host : undefined
}

/** Whether a failure to connect means that the other side is not the expected one, rather than that nobody answers. */
function isInsecure (error) {
  return !error.syscall && error.code !== 'ECONNRESET'
}

/** A server for TLS peers: a function is called with each socket whose handshake is done. */
function tlsServer (options, onSocket) {
  const server = tls.createServer({ handshakeTimeout: HANDSHAKE_MS, ...options }, (socket) => {
    ignoreErrors(socket)
    onSocket(socket)
  })
  server.maxConnections = MAX_CONNECTIONS
  // A failed handshake ends only that connection.
  server.on('tlsClientError', (_, socket) => {
    ignoreErrors(socket)
    socket.destroy()
  })
  return server
}

/** Ignores errors of a socket before it is used: unhandled, they would end the process. The socket is destroyed anyway. */
function ignoreErrors (socket) {
  socket.on('error', () => {})
}

/**
 * Calls back with the decided right, or with undefined if the decision takes too long or the socket closes in the meantime.
 *
 * @param {tls.TLSSocket} socket
 * @param {(answer: (right?: string) => void) => void} decide
 * @param {(right: string | undefined) => void} callback
 */
function decideSoon (socket, decide, callback) {
  let done = false
  const settle = (right) => {
    if (done) return
    done = true
    clearTimeout(timer)
    socket.off('close', gone)
    callback(socket.destroyed ? undefined : right)
  }
  const gone = () => settle(undefined)
  const timer = setTimeout(gone, HANDSHAKE_MS)
  socket.once('close', gone)
  decide(settle)
}

module.exports = { decideSoon, dialTls, isInsecure, tlsServer }
