'use strict'

// Two processes over loopback. This one has the events and listens; a child connects and receives them.
//   catchup: `count` events exist before the link; events/s from connect to the last one heard
//   live:    the link is up; this process emits with `window` in flight; events/s at the child's listener
//   latency: one event at a time; ms from emit here to the listener there (one monotonic clock on one machine)

const { fork } = require('node:child_process')
const { open, event, options, done, now, folder, identity } = require('../lib/modules')

const { which = 'ours', store = 'memory', mode = 'catchup', count = 20000, window = 1024, role = 'source', port, sealed = false } = options()
const emitter = open(which, store === 'path' ? folder() : store, undefined, sealed ? identity() : undefined)

function quantile (sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]
}

function source () {
  emitter.status.on('ready', () => (mode === 'catchup' ? fill(listen) : listen()))
}

function fill (cb) {
  let sent = 0
  let acked = 0
  const more = () => {
    while (sent < count && sent - acked < window) {
      sent++
      emitter.emit('userAdded', event, (err) => {
        if (err) throw err
        if (++acked === count) cb()
        else more()
      })
    }
  }
  more()
}

function listen () {
  emitter.listen(0, '127.0.0.1', (err, address) => {
    if (err) throw err
    const options = JSON.stringify({ which, store, mode, count, sealed, role: 'sink', port: address.port })
    const child = fork(__filename, [options])
    const ended = (code, signal) => { throw new Error(`the other process ended with ${signal ?? code} before it had everything`) }
    child.on('exit', ended)
    child.on('message', (message) => {
      if (message.result) {
        // Otherwise it would dial us for ever.
        child.off('exit', ended).on('exit', () => done(message.result)).kill()
        return
      }
      if (message.connected && mode === 'live') fill(() => {})
      if (message.connected && mode === 'latency') ping(child)
    })
  })
}

function ping (child) {
  let sent = 0
  const next = () => {
    if (sent++ < count) emitter.emit('userAdded', { id: String(now()), username: event.username })
  }
  child.on('message', (message) => { if (message.heard) setImmediate(next) })
  next()
}

function sink () {
  let heard = 0
  let started = 0
  const times = []
  emitter.on('userAdded', (msg) => {
    if (heard++ === 0 && mode === 'live') started = now()
    if (mode === 'latency') {
      times.push(now() - Number(msg.id))
      process.send({ heard })
    }
    if (heard === count) finish()
  })
  function finish () {
    times.sort((a, b) => a - b)
    const result = mode === 'latency'
      ? { p50: quantile(times, 0.5), p99: quantile(times, 0.99), max: quantile(times, 1) }
      : { rate: count / (now() - started) * 1000, rss: process.memoryUsage.rss() }
    process.send({ result })
  }
  emitter.status.on('ready', () => {
    started = now()
    emitter.connect(port, '127.0.0.1', (err) => {
      if (err) throw err
      if (mode !== 'catchup') process.send({ connected: true })
    })
  })
}

if (role === 'source') source()
else sink()
