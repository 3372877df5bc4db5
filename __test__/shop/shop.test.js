'use strict'

/**
 * The services of examples/shop under load, killed again and again. `HYPER_CRASH_RUNS=200` kills 200 times.
 */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { execFileSync } = require('node:child_process')
const { test } = require('node:test')

const { ask, send } = require('../../examples/shop/client')
const { HyperEmitter, folder } = require('../emitter/helpers')
const { all } = require('../emitter/stores')
const { replay } = require('./books')
const { SHOP, startShop } = require('./services')

const KILLS = Number(process.env.HYPER_CRASH_RUNS ?? 4)

/** Requests that are answered between two kills, and after the last one. */
const PER_KILL = 10

/** Clients that send requests at the same time. */
const CLIENTS = 6

const NAMES = ['orderPlaced', 'orderBilled', 'itemsDelivered', 'itemsSold', 'orderReserved', 'orderRefused']

/** The same each time. */
function * random (seed) {
  while (true) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    yield seed / 2 ** 32
  }
}

/** What clients ask for. There is enough of some items, and too little of others. */
function plan (draw) {
  const count = (KILLS + 2) * PER_KILL
  const items = Array.from({ length: Math.ceil(count / 20) }, (_, index) => ({ item: `item ${index}`, delivered: 5 + draw(40) }))
  const requests = Array.from({ length: count }, (_, index) => ({
    id: `request-${index}`, isSale: draw(4) === 0, isRepeated: draw(4) === 0, item: items[draw(items.length)].item, count: 1 + draw(3)
  }))
  return { items, requests }
}

test(`killed ${KILLS} times under load, two services keep books that balance`, async (t) => {
  const numbers = random(2)
  const draw = (below) => Math.floor(numbers.next().value * below)
  const { items, requests } = plan(draw)
  const dir = folder()
  const { orders, stock } = await startShop(t, dir)
  const itemUrl = (item) => `${stock.url}/items/${encodeURIComponent(item)}`
  for (const { item, delivered } of items) {
    // A client that has missed the answer repeats its request.
    for (let i = 0; i < 2; i++) assert.equal((await send(`${itemUrl(item)}/deliveries`, `delivery of ${item}`, { count: delivered })).status, 200)
  }

  let answered = 0
  const sent = [...requests]
  const accepted = { orders: new Map(), sales: new Map() }
  const client = async () => {
    for (let request = sent.shift(); request !== undefined; request = sent.shift()) {
      const { id, isSale, isRepeated, item, count } = request
      const [url, body] = isSale ? [`${itemUrl(item)}/sales`, { count }] : [`${orders.url}/orders`, { item, count }]
      const answer = await send(url, id, body)
      assert.ok([200, 202, 409].includes(answer.status), JSON.stringify(answer))
      if (isSale && answer.sold) accepted.sales.set(id, { item, count })
      if (!isSale) accepted.orders.set(id, { item, count, cursor: answer.cursor })
      if (isRepeated && answer.status < 300) assert.deepEqual(await send(url, id, body), answer)
      if (++answered % PER_KILL > 0 || orders.kills + stock.kills >= KILLS) continue
      // In the middle of the other clients' requests.
      const victim = draw(2) === 0 ? orders : stock
      victim.kill()
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  assert.equal(orders.kills + stock.kills, KILLS)
  const [[id, { count }]] = accepted.orders
  assert.equal((await send(`${orders.url}/orders`, id, { item: 'another', count })).status, 409, 'an id is that of one order')

  // Every accepted order is decided, and what has been reserved is billed, without anybody asking.
  const shown = { orders: new Map(), items: new Map() }
  for (const [id, { cursor }] of accepted.orders) {
    const url = `${orders.url}/orders/${id}?cursor=${encodeURIComponent(cursor)}`
    shown.orders.set(id, await ask(url, ({ status }) => status === 'billed' || status === 'refused'))
  }
  for (const { item } of items) shown.items.set(item, await ask(itemUrl(item), () => true))
  // On Windows there is no SIGTERM: processes are killed.
  const code = process.platform === 'win32' ? null : 0
  assert.deepEqual([await orders.stop(), await stock.stop()], [code, code], orders.stderr + stock.stderr)

  // Once they are linked again, both hold the same.
  const schema = fs.readFileSync(path.join(SHOP, 'shop.proto'))
  const [one, two] = [orders, stock].map(({ store }) => new HyperEmitter(store, schema, { protobuf: 'standard', dial: false }))
  t.after(() => Promise.all([one.close(), two.close()]))
  const { port } = await one.listen(0, '127.0.0.1')
  await two.connect(port, '127.0.0.1')
  while (await one.digest() !== await two.digest());
  const books = replay(await all(two.read({ names: NAMES })))
  assert.deepEqual(books.orders, shown.orders, 'no order is lost or there twice, and the view is what a replay gives')
  assert.deepEqual(books.items, shown.items)
  assert.deepEqual(books.sales, accepted.sales)
  for (const { item, delivered } of items) {
    const { left, reserved, sold } = books.items.get(item)
    assert.equal(left + reserved + sold, delivered, item)
  }
  const statuses = new Set(Array.from(books.orders.values(), ({ status }) => status))
  assert.deepEqual([...statuses].sort(), ['billed', 'refused'], 'both happen')
})

test('the client of the guide prints what has become of its order', async (t) => {
  const { orders, stock } = await startShop(t, folder())
  const place = (...args) => execFileSync(process.execPath, [path.join(SHOP, 'client.js'), String(orders.ports.http), ...args], { encoding: 'utf8' })
  await send(`${stock.url}/items/tea/deliveries`, 'delivery-1', { count: 5 })
  assert.equal(place('tea', '3'), '3 of tea: billed\n')
  assert.equal(place('tea', '3'), '3 of tea: refused\n')
  assert.deepEqual(await ask(`${stock.url}/items/tea`, () => true), { left: 2, reserved: 3, sold: 0 })
})
