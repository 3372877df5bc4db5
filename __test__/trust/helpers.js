'use strict'

const { generateKeyPairSync } = require('node:crypto')
const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')

const { HyperEmitter, SCHEMA } = require('../emitter/helpers')

const HOST = '127.0.0.1'

/** A new private key. */
const newKey = () => generateKeyPairSync('ed25519').privateKey

/** An emitter that is closed after the test. */
function make (t, options, db) {
  const emitter = new HyperEmitter(db, SCHEMA, { reconnectTimeout: 10, ...options })
  t.after(() => emitter.close())
  return emitter
}

/** An emitter with an identity of its own. */
const secured = (t, options, db) => make(t, { identity: newKey(), ...options }, db)

/** The arguments of the next `status` event with this name. */
async function told (emitter, name) {
  const [value] = await once(emitter.status, name)
  return value
}

/** The error with which a `connect` is rejected. */
function refused (promise) {
  return promise.then(() => { throw new Error('it was connected') }, (error) => error)
}

/** `emitter` hears the event that `other` emits now; it may hear earlier ones before. */
async function hears (emitter, other, name, message) {
  const heard = new Promise((resolve) => {
    const listener = (event) => {
      if (!Object.entries(message).every(([field, value]) => event[field] === value)) return
      emitter.removeListener(name, listener)
      resolve(event)
    }
    emitter.on(name, listener)
  })
  await other.append(name, message)
  return heard
}

/** A file of the certificates for tests. */
const pem = (name) => fs.readFileSync(path.join(__dirname, '../data/tls', name))

module.exports = { HOST, HyperEmitter, SCHEMA, hears, make, newKey, pem, refused, secured, told }
