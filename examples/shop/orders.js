'use strict'

// Takes orders, bills those that have been reserved, and tells how an order stands.
//
//   node orders.js STORE HTTP-PORT LOG-PORT

const fastify = require('fastify')
const HyperEmitter = require('../..')
const { idempotent, open, serve } = require('./service')

const [store, httpPort, logPort] = process.argv.slice(2)
const emitter = open(store)

/** How each order stands. */
const orders = emitter.project('orders', {
  init: null,
  key: ({ payload }) => payload.order,
  on: {
    orderPlaced: (order, { item, count }) => ({ item, count, status: 'placed' }),
    orderReserved: (order) => ({ ...order, status: 'reserved' }),
    orderRefused: (order) => ({ ...order, status: 'refused' }),
    orderBilled: (order) => ({ ...order, status: 'billed' })
  }
})

/** Derives an event from each reservation. It is stored once, however often this process is killed. */
emitter.subscribe('billing', { names: 'orderReserved' }, ({ payload: { order, count } }, context) => {
  context.append('orderBilled', { order, count })
})

const app = fastify()

app.post('/orders', {
  schema: {
    headers: idempotent,
    body: {
      type: 'object',
      required: ['item', 'count'],
      properties: { item: { type: 'string', minLength: 1, maxLength: 100 }, count: { type: 'integer', minimum: 1, maximum: 1000 } }
    }
  }
}, async (request, reply) => {
  const order = request.headers['idempotency-key']
  const node = await emitter.append('orderPlaced', { order, ...request.body }, { id: `order:${order}` })
  return reply.code(202).send({ order, cursor: HyperEmitter.cursorOf(node) })
})

app.get('/orders/:order', async (request, reply) => {
  const { cursor } = request.query
  if (cursor !== undefined) {
    // The client has just placed the order, and must see it.
    await emitter.caughtUp(cursor, { timeout: 5000 })
    await orders.caughtUp(cursor)
  }
  const order = await orders.get(request.params.order)
  return order ?? reply.code(404).send({ message: 'there is no such order' })
})

async function main () {
  const { port } = await emitter.listen(Number(logPort), '127.0.0.1')
  await serve(app, emitter, { http: Number(httpPort), log: port })
}

main()
