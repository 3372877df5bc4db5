'use strict'

const tls = require('node:tls')

/** Links over Node's own TLS, for those who have certificates. Everything that node:tls takes as an option is its business. */

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
    socket.off('error', settle)
    socket.off('secureConnect', connected)
    callback(error, socket)
  }
  const connected = () => settle(null)
  socket.once('error', settle).once('secureConnect', connected)
  return socket
}

/** Names travel in the open, addresses must not be sent as names (RFC 6066, section 3). */
function serverName (host) {
  return require('node:net').isIP(host) === 0 ? host : undefined
}

/** Whether a failure to connect says that the other side is not who it should be, rather than that there is nobody. */
function isInsecure (error) {
  return !error.syscall && error.code !== 'ECONNRESET'
}

/** A server for TLS peers: a function is called with each socket whose handshake is done. */
function tlsServer (options, onSocket) {
  const server = tls.createServer({ ...options }, onSocket)
  // A handshake that fails is the peer's concern; the server goes on.
  server.on('tlsClientError', (error, socket) => socket.destroy(error))
  return server
}

module.exports = { dialTls, isInsecure, tlsServer }
