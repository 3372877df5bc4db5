'use strict'

const { createPrivateKey, generateKeyPairSync, KeyObject, randomBytes } = require('node:crypto')
const fs = require('node:fs')

const native = require('../native/addon')
const { badIdentity, badSecret, keyFileExists, keyFileUnreadable } = require('../errors')

/** Mode of a private key's file: only its owner may read it. */
const OWNER_ONLY = 0o600

/**
 * The emitter's private key as PKCS#8 DER, for the native half.
 *
 * @param {string | Buffer | KeyObject} identity the path of a PEM file, PEM text, or a private key of node:crypto
 * @returns {Buffer}
 */
function identityKey (identity) {
  let key
  if (identity instanceof KeyObject) {
    key = identity
  } else if (typeof identity === 'string' || Buffer.isBuffer(identity)) {
    const isText = identity.includes('-----BEGIN')
    const pem = isText ? identity : readKey(identity)
    try {
      key = createPrivateKey(pem)
    } catch (cause) {
      throw badIdentity(`${isText ? 'its text' : `the file ${identity}`} is no private key (${cause.message})`)
    }
  } else {
    throw badIdentity('it must be the path of a key file, the text of one, or a KeyObject')
  }
  if (key.type !== 'private' || key.asymmetricKeyType !== 'ed25519') {
    throw badIdentity(`it is a ${key.type} key${key.asymmetricKeyType === undefined ? '' : ` of the kind ${key.asymmetricKeyType}`}`)
  }
  return key.export({ type: 'pkcs8', format: 'der' })
}

function readKey (path) {
  try {
    return fs.readFileSync(path)
  } catch (cause) {
    throw keyFileUnreadable(path, cause)
  }
}

/** The public key of an identity, in the text form that all options use. */
function publicKeyOf (identity) {
  return native.publicKey(identityKey(identity))
}

/**
 * Makes a new identity in a file that only its owner may read. Never overwrites one.
 *
 * @param {string} path
 * @returns {string} its public key
 */
function generateIdentity (path) {
  const { privateKey } = generateKeyPairSync('ed25519')
  writeNew(path, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  return publicKeyOf(privateKey)
}

/** Makes a new group secret in a file: 64 hexadecimal digits. Never overwrites one. */
function generateSecret (path) {
  writeNew(path, randomBytes(SECRET_BYTES).toString('hex') + '\n')
}

function writeNew (path, text) {
  let file
  try {
    file = fs.openSync(path, 'wx', OWNER_ONLY)
  } catch (cause) {
    throw cause.code === 'EEXIST' ? keyFileExists(path) : cause
  }
  try {
    fs.writeSync(file, text)
    fs.fsyncSync(file)
  } finally {
    fs.closeSync(file)
  }
}

const SECRET_BYTES = 32

/**
 * A group's secret as bytes.
 *
 * @param {Buffer | Uint8Array | string} secret 32 bytes, or their 64 hexadecimal digits
 * @returns {Buffer}
 */
function secretBytes (secret) {
  const bytes = typeof secret === 'string' && /^[0-9a-f]{64}$/i.test(secret)
    ? Buffer.from(secret, 'hex')
    : secret instanceof Uint8Array ? Buffer.from(secret) : undefined
  if (bytes?.length !== SECRET_BYTES) throw badSecret()
  return bytes
}

module.exports = { identityKey, publicKeyOf, generateIdentity, generateSecret, secretBytes }
