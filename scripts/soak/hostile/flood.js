'use strict'

/** Holds slots with hundreds of links: silent ones, ones that send single bytes, and ones that send garbage. */

const { randomBytes } = require('node:crypto')
const net = require('node:net')
const { meet, messages } = require('../raw')

const LINKS = 60

function hold (port, link) {
  const again = () => setTimeout(() => hold(port, link), 500 + 10 * link)
  if (link % 3 === 0) {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.on('close', again)
  } else if (link % 3 === 1) {
    let timer
    meet(port, `dribbler-${link}`, (socket) => {
      // The beginning of a frame that is never completed.
      socket.write(Buffer.from([0xff, 0xff, 0x03]))
      timer = setInterval(() => socket.write(Buffer.from([0])), 1000)
    }, () => {
      clearInterval(timer)
      again()
    })
  } else {
    meet(port, `noise-${link}`, (socket) => socket.end(Buffer.concat([messages.alive, randomBytes(2000)])), again)
  }
}

for (const port of process.argv.slice(2)) {
  for (let link = 0; link < LINKS; link++) hold(Number(port), link)
}
