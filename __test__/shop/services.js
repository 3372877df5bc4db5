'use strict'

/** The two services of examples/shop, as processes that are started again whenever they end. */

const assert = require('node:assert/strict')
const path = require('node:path')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { createInterface } = require('node:readline')

const SHOP = path.join(__dirname, '../../examples/shop')

/** Starts of a service that may fail in a row: while it was down, another process may have been given its port. */
const MAX_FAILED = 20

class Service {
  /**
   * @param {string} file
   * @param {string} store
   * @param {(ports: object) => number[]} portsOf the arguments behind the store
   */
  constructor (file, store, portsOf) {
    this.file = file
    this.store = store
    this.portsOf = portsOf
    /** Where it listens; zeros until that is known. */
    this.ports = { http: 0, log: 0 }
    this.kills = 0
    this.failed = 0
    this.isStopping = false
    this.stderr = ''
  }

  /** Starts it. Resolves once it listens. */
  async start () {
    const args = [path.join(SHOP, this.file), this.store, ...this.portsOf(this.ports).map(String)]
    const child = this.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    child.stderr.on('data', (text) => { this.stderr += text })
    child.once('exit', () => this.ended())
    // Without a line, it has ended.
    const line = await new Promise((resolve) => createInterface(child.stdout).once('line', resolve).once('close', resolve))
    if (line === undefined) return
    this.failed = 0
    this.ports = JSON.parse(line)
  }

  ended () {
    if (this.isStopping) return
    assert.ok(++this.failed <= MAX_FAILED, this.stderr)
    this.start()
  }

  get url () {
    return `http://127.0.0.1:${this.ports.http}`
  }

  kill () {
    this.kills++
    this.child.kill('SIGKILL')
  }

  /** Ends it in an orderly way. Resolves to its exit code. */
  async stop () {
    this.isStopping = true
    const { child } = this
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    child.kill('SIGTERM')
    const [code] = await once(child, 'exit')
    return code
  }

  /** Ends it, whatever it is doing. */
  end () {
    this.isStopping = true
    this.child?.kill('SIGKILL')
  }
}

/** Starts both services, with their stores in a folder. They end with the test. */
async function startShop (t, folder) {
  const orders = new Service('orders.js', path.join(folder, 'orders'), ({ http, log }) => [http, log])
  t.after(() => orders.end())
  await orders.start()
  const stock = new Service('stock.js', path.join(folder, 'stock'), ({ http }) => [http, orders.ports.log])
  t.after(() => stock.end())
  await stock.start()
  return { orders, stock }
}

module.exports = { SHOP, startShop }
