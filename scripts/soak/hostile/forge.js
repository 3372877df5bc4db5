'use strict'

/** Forges entries of others: next entries of the peer's log, other versions of its first entries, claims of forks. */

const { randomBytes } = require('node:crypto')
const { meet, messages, event } = require('../raw')

function forge (port, round = 0) {
  let timer
  meet(port, `forger-${port}`, (socket, theirs) => {
    if (theirs === undefined) return socket.destroy()
    socket.write(messages.vector())
    let seq = 1
    timer = setInterval(() => {
      const value = event('soak', randomBytes(20))
      const wrong = [
        messages.batch([theirs], [{ index: 0, seq: seq * 1000, value }]),
        messages.batch([theirs], [{ index: 0, seq, value }]),
        messages.fork(theirs, seq, randomBytes(32))
      ]
      socket.write(wrong[(round + seq++) % wrong.length])
    }, 200)
  }, () => {
    clearInterval(timer)
    setTimeout(() => forge(port, round + 1), 2000)
  })
}

for (const port of process.argv.slice(2)) forge(Number(port))
