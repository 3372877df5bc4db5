'use strict'

const net = require('node:net')

/** A peer that accepts the connection and sends nothing for this many milliseconds is not an emitter. */
const SILENCE_MS = 3000

/** A frame with 1.x's handshake: version 1, mode `push`. */
const HANDSHAKE = Buffer.from('\x09\x00\x08\x01\x12\x04push', 'latin1')

/** Longest first frame, in bytes. An emitter's is a handshake of some dozens of bytes. */
const MAX_HANDSHAKE = 4096

/**
 * Reads a varint.
 * @returns {{value: number, next: number}|undefined} undefined if it is incomplete
 */
function varint (bytes, at) {
  let value = 0
  for (let shift = 0; shift < 35 && at < bytes.length; shift += 7, at++) {
    value += (bytes[at] & 0x7f) * 2 ** shift
    if (bytes[at] < 0x80) return { value, next: at + 1 }
  }
}

/**
 * Reads what a peer sent first: hyperlog's frame 0, Handshake {version = 1, mode = 2, metadata = 3, live = 4} (docs/DESIGN.md).
 * @param {Buffer} bytes received so far
 * @returns {{protocol: '1.x'|'2.x', live: boolean}|'incomplete'|'other'}
 */
function readHandshake (bytes) {
  const length = varint(bytes, 0)
  if (!length) return bytes.length > 4 ? 'other' : 'incomplete'
  if (length.value < 1 || length.value > MAX_HANDSHAKE) return 'other'
  const end = length.next + length.value
  if (bytes.length > length.next && bytes[length.next] !== 0) return 'other'
  if (bytes.length < end) return 'incomplete'
  const fields = {}
  for (let at = length.next + 1; at < end;) {
    const tag = varint(bytes, at)
    const value = tag && varint(bytes, tag.next)
    if (!value || ![0, 2].includes(tag.value & 7)) return 'other'
    fields[tag.value >> 3] = value.value
    at = (tag.value & 7) === 2 ? value.next + value.value : value.next
  }
  if (fields[1] === undefined) return 'other'
  return { protocol: fields[3] > 0 ? '2.x' : '1.x', live: fields[4] === 1 }
}

/**
 * Finds out what listens at an address, by its handshake: every emitter sends one once it has received one. Our handshake has
 * the mode `push`, so the peer sends no events.
 * @param {number} port
 * @param {string} host
 * @returns {Promise<{protocol: '1.x'|'2.x'|null, live?: boolean, address: string}>} protocol null: not an emitter
 * @throws {Error} nothing listens there
 */
function probe (port, host) {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    let address
    const socket = net.connect({ port, host })
    const done = (result) => {
      socket.destroy()
      resolve({ ...result, address })
    }
    socket.setTimeout(SILENCE_MS)
    socket.on('connect', () => {
      address = socket.remoteAddress
      socket.write(HANDSHAKE)
    })
    socket.on('error', (error) => address === undefined ? reject(error) : done({ protocol: null }))
    socket.on('timeout', () => {
      if (address === undefined) reject(new Error(`connect ETIMEDOUT ${host}:${port}`))
      else done({ protocol: null })
      socket.destroy()
    })
    socket.on('end', () => done({ protocol: null }))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      const handshake = readHandshake(received)
      if (handshake === 'other' || received.length > 2 * MAX_HANDSHAKE) done({ protocol: null })
      else if (handshake !== 'incomplete') done(handshake)
    })
  })
}

module.exports = { probe, readHandshake }
