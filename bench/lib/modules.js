'use strict'

// One interface to both emitters: the same calls reach 1.3.0 and this module.

const { generateKeyPairSync } = require('node:crypto')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

exports.schema = 'message userAdded { optional string id = 1; optional string username = 2; }'

/** 38 bytes encoded, as in the documentation's tables. */
exports.event = { id: '0123456789abcdef', username: 'matteo.collina.44' }

/** A message with this many bytes of payload. */
exports.sized = (bytes) => ({ id: '0123456789abcdef', username: 'x'.repeat(bytes - 21) })

/** A program that `cargo build --release` in bench/umadb makes. */
exports.UMADB = path.join(__dirname, '../umadb/target/release/bench-umadb')

const modules = { ours: () => require('../..'), original: () => require('hyperemitter-1') }

/**
 * Opens an emitter.
 * @param {'ours'|'original'} which
 * @param {'memory'|'memdb'|string} store a path means the embedded store
 */
exports.open = function open (which, store, schema = exports.schema, options) {
  const HyperEmitter = modules[which]()
  const db = store === 'memdb' || which === 'original' ? require('memdb')() : store === 'memory' ? ':memory:' : store
  return new HyperEmitter(db, schema, options)
}

/** Options of an emitter with a key of its own. All emitters with these options accept each other. */
exports.identity = () => ({ identity: generateKeyPairSync('ed25519').privateKey, secret: Buffer.alloc(32, 1) })

/** A folder that is gone when the process ends. */
exports.folder = function folder () {
  // On a real disk: /tmp is memory on some systems, where fdatasync costs nothing.
  const base = process.env.BENCH_DIR || path.join(__dirname, '../../target')
  fs.mkdirSync(base, { recursive: true })
  const dir = fs.mkdtempSync(path.join(base, 'bench-'))
  process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }))
  return dir
}

exports.options = () => JSON.parse(process.argv[2] || '{}')

/** Prints the result and ends, whatever is still open. */
exports.done = (result) => process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0))

exports.now = () => Number(process.hrtime.bigint()) / 1e6

exports.machine = function machine () {
  const cpu = os.cpus()[0]
  return {
    cpu: cpu ? cpu.model.trim() : 'unknown',
    cores: os.cpus().length,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version
  }
}
