'use strict'

// Places an order, and waits until it is decided.
//
//   node client.js ORDERS-HTTP-PORT ITEM COUNT [ID]

const { randomUUID } = require('node:crypto')
const { setTimeout: sleep } = require('node:timers/promises')

/** Sends a request until it is answered. With its id it can be repeated: it is carried out once. */
async function send (url, id, body) {
  while (true) {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': id },
        body: JSON.stringify(body)
      })
      if (response.status < 500) return { status: response.status, ...await response.json() }
    } catch {
      // Nobody answers now, or the answer was cut off.
    }
    await sleep(100)
  }
}

/** Asks until there is an answer that satisfies. */
async function ask (url, satisfies) {
  while (true) {
    try {
      const response = await fetch(url)
      const answer = await response.json()
      if (response.ok && satisfies(answer)) return answer
    } catch {}
    await sleep(100)
  }
}

async function main (port, item, count, id = randomUUID()) {
  const orders = `http://127.0.0.1:${port}/orders`
  const { order, cursor } = await send(orders, id, { item, count: Number(count) })
  const { status } = await ask(`${orders}/${order}?cursor=${encodeURIComponent(cursor)}`, ({ status }) => status === 'billed' || status === 'refused')
  console.log(`${count} of ${item}: ${status}`)
}

if (require.main === module) main(...process.argv.slice(2))

module.exports = { ask, send }
