'use strict'

// A plain hyperlog of 1.x's version behind a TCP port: it stores and sends whatever it is given, as 1.3.0's own emit would not.
// Arguments: events as JSON [[name, payload hex], …]. Prints its port.

const net = require('node:net')
const { createRequire } = require('node:module')
const path = require('node:path')

const oracle = createRequire(path.join(__dirname, '../oracle/package.json'))
const { Event } = oracle('protocol-buffers')('message Event { required string name = 1; required bytes payload = 2; }')
const log = oracle('hyperlog')(oracle('memdb')())

const events = JSON.parse(process.argv[2])
const next = () => {
  const event = events.shift()
  if (!event) return serve()
  log.append(Event.encode({ name: event[0], payload: Buffer.from(event[1], 'hex') }), (err) => {
    if (err) throw err
    next()
  })
}

function serve () {
  const server = net.createServer((socket) => {
    const replication = log.replicate({ live: true })
    socket.on('error', () => {})
    replication.on('error', () => {})
    socket.pipe(replication).pipe(socket)
  })
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
}

next()
