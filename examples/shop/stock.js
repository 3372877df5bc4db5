'use strict'

// Knows what is in stock, reserves it for orders and sells it over the counter. Nobody else decides about it.
//
//   node stock.js STORE HTTP-PORT LOG-PORT-OF-ORDERS

const fastify = require('fastify')
const { idempotent, open, serve } = require('./service')

const [store, httpPort, logPort] = process.argv.slice(2)
const emitter = open(store)

/** What is left of each item, and where the rest is. */
const items = emitter.project('items', {
  init: { left: 0, reserved: 0, sold: 0 },
  key: ({ payload }) => payload.item,
  on: {
    itemsDelivered: (state, { count }) => ({ ...state, left: state.left + count }),
    orderReserved: (state, { count }) => ({ ...state, left: state.left - count, reserved: state.reserved + count }),
    itemsSold: (state, { count }) => ({ ...state, left: state.left - count, sold: state.sold + count })
  }
})

/** The events that change how much of an item is left. */
const changesOf = (item) => ({ names: ['itemsDelivered', 'orderReserved', 'itemsSold'], tags: [`item:${item}`] })

/** How much is left, by these events. */
function left (events) {
  let left = 0
  for (const { name, payload: { count } } of events) left += name === 'itemsDelivered' ? count : -count
  return left
}

/** Reserves what has been ordered, if there is enough of it. */
emitter.subscribe('reservations', { names: 'orderPlaced' }, ({ payload: { order, item, count } }) => {
  const decided = { names: ['orderReserved', 'orderRefused'], tags: [`order:${order}`] }
  return emitter.decide({ query: [changesOf(item), decided] }, async (events, { append }) => {
    // The process may have been killed after this decision, and before the subscription had stored that the entry is done.
    if (events.some(({ payload }) => payload.order === order)) return
    await append(left(events) >= count ? 'orderReserved' : 'orderRefused', { order, item, count })
  })
}, { key: ({ payload }) => payload.item })

const app = fastify()

const schema = {
  headers: idempotent,
  params: { type: 'object', properties: { item: { type: 'string', minLength: 1, maxLength: 100 } } },
  body: { type: 'object', required: ['count'], properties: { count: { type: 'integer', minimum: 1, maximum: 1000 } } }
}

app.post('/items/:item/deliveries', { schema }, async (request) => {
  const { item } = request.params
  await emitter.append('itemsDelivered', { item, count: request.body.count }, { id: `delivery:${request.headers['idempotency-key']}` })
  return { delivered: true }
})

app.post('/items/:item/sales', { schema }, async (request, reply) => {
  const { item } = request.params
  const { count } = request.body
  const sale = request.headers['idempotency-key']
  const isThis = ({ payload }) => payload.sale === sale && payload.count === count
  const sold = await emitter.decide(changesOf(item), async (events, { append }) => {
    if (events.some(isThis)) return true
    if (left(events) < count) return false
    await append('itemsSold', { sale, item, count }, { id: `sale:${sale}` })
    return true
  })
  return reply.code(sold ? 200 : 409).send({ sold })
})

app.get('/items/:item', async (request) => {
  // What this service has answered to anybody is in the answer.
  await items.caughtUp()
  return await items.get(request.params.item) ?? { left: 0, reserved: 0, sold: 0 }
})

/** Dials the other service until it answers: a call gives up after ten attempts. From then on, the emitter keeps the link. */
async function link () {
  try {
    await emitter.connect(Number(logPort), '127.0.0.1')
  } catch (error) {
    if (error.code !== 'ERR_HYPER_CLOSED') link()
  }
}

async function main () {
  // Not awaited: while the other service is down, this one sells over the counter.
  link()
  await emitter.ready()
  await serve(app, emitter, { http: Number(httpPort) })
}

main()
