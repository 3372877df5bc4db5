'use strict'

/** Causes much work with few bytes: probes, names of unknown logs, thousands of announcements, from several links at a time. */

const { meet, messages } = require('../raw')

function ask (port, link) {
  let count = 0
  let timer
  meet(port, `amplifier-${link}`, (socket, theirs) => {
    socket.write(messages.vector([{ log: theirs ?? 'none', seq: 1 }]))
    timer = setInterval(() => {
      const logs = Array.from({ length: 500 }, () => `nobody-${link}-${count++}`)
      socket.write(Buffer.concat([
        ...Array.from({ length: 200 }, (_, at) => messages.probe(theirs ?? 'none', at + 1)),
        messages.credit(1, logs),
        ...logs.map((log) => messages.have(log, 9))
      ]))
    }, 50)
  }, () => {
    clearInterval(timer)
    setTimeout(() => ask(port, link), 1000)
  })
}

for (const port of process.argv.slice(2)) {
  for (let link = 0; link < 3; link++) ask(Number(port), link)
}
