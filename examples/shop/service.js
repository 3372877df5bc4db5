'use strict'

// What both services have in common: the store, and how they start and end.

const fs = require('node:fs')
const path = require('node:path')
const HyperEmitter = require('../..')

const schema = fs.readFileSync(path.join(__dirname, 'shop.proto'), 'utf8')

const order = ({ order }) => [`order:${order}`]
const item = ({ item }) => [`item:${item}`]

/** Tags, by which decisions find the events that they depend on. */
const tags = {
  orderPlaced: order,
  orderBilled: order,
  orderReserved: ({ item, order }) => [`item:${item}`, `order:${order}`],
  orderRefused: order,
  itemsDelivered: item,
  itemsSold: item
}

/** Opens the store of a service. */
function open (store) {
  // If the other service has restarted, it is dialled again after a tenth of a second.
  const emitter = new HyperEmitter(store, schema, { protobuf: 'standard', tags, reconnectTimeout: 100 })
  emitter.status.on('warning', (error) => console.error(error.message))
  return emitter
}

/** Each request that changes something has an id, which the client chooses, so that it can be repeated until it is answered. */
const idempotent = {
  type: 'object',
  required: ['idempotency-key'],
  properties: { 'idempotency-key': { type: 'string', minLength: 1, maxLength: 100 } }
}

/** Statuses of HTTP for errors that are not this service's fault. */
const STATUSES = { ERR_HYPER_INVALID_ARG: 400, ERR_HYPER_ID_REUSED: 409, ERR_HYPER_CLOSED: 503, ERR_HYPER_TIMEOUT: 504 }

/** Serves HTTP until the process is asked to end, and prints on which ports the service listens. */
async function serve (app, emitter, ports) {
  app.setErrorHandler((error, request, reply) => {
    reply.code(STATUSES[error.code] ?? error.statusCode ?? 500).send({ message: error.message })
  })
  await app.listen({ port: ports.http, host: '127.0.0.1' })
  process.once('SIGTERM', async () => {
    await app.close()
    await emitter.close()
  })
  console.log(JSON.stringify({ ...ports, http: app.server.address().port }))
}

module.exports = { idempotent, open, serve }
