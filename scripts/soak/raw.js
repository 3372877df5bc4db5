'use strict'

/**
 * A minimal client of the replication protocol (docs/design/wire.md) for hostile programs: it sends frames unchecked, and reads
 * only those answers that such programs need.
 */

const net = require('node:net')

function varint (number) {
  const out = []
  for (let rest = BigInt(number); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...out, Number(rest)])
    out.push(Number(rest & 127n) | 128)
  }
}

function readVarint (bytes, at) {
  let value = 0n
  for (let shift = 0n; at < bytes.length; shift += 7n) {
    const byte = bytes[at++]
    value |= BigInt(byte & 127) << shift
    if (byte < 128) return { value: Number(value), at }
  }
  return undefined
}

const text = (string) => prefixed(Buffer.from(string))
const prefixed = (bytes) => Buffer.concat([varint(bytes.length), bytes])
const number = (field, value) => Buffer.concat([Buffer.from([field << 3]), varint(value)])
const bytes = (field, value) => Buffer.concat([Buffer.from([field << 3 | 2]), prefixed(Buffer.from(value))])
const frame = (type, ...body) => prefixed(Buffer.concat([Buffer.from([type]), ...body]))

/** Messages of the extension. Rows are `{ log, seq, value }`, and each names its log's index. */
const messages = {
  handshake (log) {
    const record = Buffer.concat([Buffer.from('hyper2'), number(1, 1), number(3, 64 << 20), number(4, 1 << 30), bytes(5, log)])
    return frame(0, number(1, 1), bytes(3, record), number(4, 1))
  },
  vector: (extents = []) => frame(6, varint(3), varint(extents.length),
    ...extents.flatMap(({ log, seq, digest = Buffer.alloc(32) }) => [text(log), varint(seq), digest])),
  batch: (logs, rows) => frame(7, varint(logs.length), ...logs.map(text),
    ...rows.flatMap(({ index, seq, value }) => [Buffer.from([0]), varint(index), varint(seq), prefixed(value)])),
  credit: (amount, logs = []) => frame(8, varint(amount), varint(logs.length), ...logs.flatMap((log) => [text(log), varint(1)])),
  probe: (log, seq) => frame(9, text(log), varint(seq)),
  fork: (log, seq, key) => frame(11, text(log), varint(seq), key),
  have: (log, seq) => frame(1, bytes(1, log), number(2, seq)),
  alive: frame(12)
}

/** An event container with this name and payload. */
const event = (name, payload) => Buffer.concat([bytes(1, name), bytes(2, payload)])

/**
 * Connects, and sends a handshake as the writer of `log`. Calls `greeted(socket, theirs)` with the id of the peer's own log,
 * and `ended()` when the link has ended for any reason.
 */
function meet (port, log, greeted, ended = () => {}) {
  const socket = net.connect(port, '127.0.0.1', () => socket.write(messages.handshake(log)))
  let input = Buffer.alloc(0)
  let known = false
  socket.on('data', (chunk) => {
    if (known) return
    input = Buffer.concat([input, chunk])
    const length = readVarint(input, 0)
    if (length === undefined || input.length < length.at + length.value) return
    known = true
    const body = input.subarray(length.at, length.at + length.value)
    greeted(socket, logOf(body))
  })
  socket.on('error', () => {})
  socket.on('close', ended)
  return socket
}

/** The log named in the capability record of a handshake; undefined if there is none. */
function logOf (handshake) {
  const start = handshake.indexOf('hyper')
  if (start < 0) return undefined
  for (let at = start + 6; at < handshake.length;) {
    const tag = readVarint(handshake, at)
    const next = tag && readVarint(handshake, tag.at)
    if (next === undefined) return undefined
    if (tag.value === 42) return handshake.subarray(next.at, next.at + next.value).toString()
    at = (tag.value & 7) === 2 ? next.at + next.value : next.at
  }
  return undefined
}

module.exports = { meet, messages, event }
