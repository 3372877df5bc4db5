'use strict'

/** The books of examples/shop, kept by a replay of the log. Throws where they do not balance. */

const assert = require('node:assert/strict')

/**
 * @param {{ name: string, payload: object }[]} events in the order of the service that decides about the stock
 * @returns {{ items: Map<string, object>, orders: Map<string, object>, sales: Map<string, object> }}
 */
function replay (events) {
  const [items, orders, sales] = [new Map(), new Map(), new Map()]
  for (const { name, payload } of events) {
    const { item, order, sale, count } = payload
    const stock = items.get(item) ?? { left: 0, reserved: 0, sold: 0 }
    const known = orders.get(order)
    const is = (...statuses) => assert.ok(statuses.includes(known?.status), `${name} of order ${order}, which is ${known?.status}`)
    switch (name) {
      case 'orderPlaced':
        is(undefined)
        orders.set(order, { item, count, status: 'placed' })
        break
      case 'orderReserved':
        is('placed')
        assert.deepEqual([item, count], [known.item, known.count])
        known.status = 'reserved'
        items.set(item, { ...stock, left: stock.left - count, reserved: stock.reserved + count })
        break
      case 'orderRefused':
        is('placed')
        assert.ok(stock.left < count, `order ${order} is refused, although ${stock.left} are left`)
        known.status = 'refused'
        break
      case 'orderBilled':
        is('reserved')
        assert.equal(count, known.count)
        known.status = 'billed'
        break
      case 'itemsDelivered':
        items.set(item, { ...stock, left: stock.left + count })
        break
      case 'itemsSold':
        assert.ok(!sales.has(sale), `sale ${sale} twice`)
        sales.set(sale, { item, count })
        items.set(item, { ...stock, left: stock.left - count, sold: stock.sold + count })
        break
    }
    assert.ok((items.get(item)?.left ?? 0) >= 0, `less than nothing is left of ${item}`)
  }
  return { items, orders, sales }
}

module.exports = { replay }
