'use strict'

const { inspect } = require('node:util')
const { isNativeError } = require('node:util/types')

/**
 * All errors that JavaScript makes: their codes, classes and messages. Each export below {@link define} makes one of them.
 *
 * For a wrong argument, a TypeError or RangeError is thrown immediately; for later failures, an Error goes to a callback, a
 * promise or `status`. Codes are stable, messages are not.
 */

const OURS = /^ERR_HYPER_/

/**
 * The class of all errors with a code of this module. `instanceof` checks the code, so TypeErrors and RangeErrors for wrong
 * arguments are instances, too, as well as errors of the native half and of another copy of this module.
 */
class HyperError extends Error {
  /**
   * @param {string} code one of index.d.ts's `ErrorCode`
   * @param {string} message
   * @param {{ cause?: unknown }} [options]
   */
  constructor (code, message, options) {
    super(message, options)
    this.code = code
  }

  static [Symbol.hasInstance] (value) {
    if (this !== HyperError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return isNativeError(value) && typeof value.code === 'string' && OURS.test(value.code)
  }
}

/** An error with a code. Its class is `Class`; otherwise HyperError, or Error if the code is the system's. */
function coded (code, message, Class = undefined) {
  if (Class === undefined && OURS.test(code)) return new HyperError(code, message)
  const error = new (Class ?? Error)(message)
  error.code = code
  return error
}

/**
 * One kind of error.
 *
 * @param {string} code
 * @param {Function | undefined} Class of a wrong argument; otherwise ours
 * @param {(...values: *) => string} message
 * @param {(...values: *) => object} [fields] that the error has as well
 * @returns {(...values: *) => Error} makes an error from the values for its message
 */
function define (code, Class, message, fields) {
  return function make (...values) {
    const error = coded(code, message(...values), Class)
    // The stack begins at the caller.
    Error.captureStackTrace(error, make)
    return fields === undefined ? error : Object.assign(error, fields(...values))
  }
}

const INVALID = 'ERR_HYPER_INVALID_ARG'

/** `typeof`, but 'null' for null. */
const typeOf = (value) => value === null ? 'null' : typeof value

/** A thrown value as text. Users' functions may throw anything. */
function reasonOf (thrown) {
  try {
    if (isNativeError(thrown)) return String(thrown.message)
    return typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 0, breakLength: Infinity })
  } catch {
    return 'something that cannot be printed'
  }
}

/** The stack of a thrown value, if it has one. Reading it may run code of users. */
function stackOf (thrown) {
  try {
    const stack = thrown?.stack
    return typeof stack === 'string' ? stack : undefined
  } catch {
    return undefined
  }
}

/** What somebody threw, as an error: itself if it is one. Callbacks take undefined and null for success, so those must become errors too. */
function asError (thrown) {
  if (isError(thrown)) return thrown
  return Object.assign(new Error(reasonOf(thrown)), { cause: thrown })
}

function isError (thrown) {
  try {
    return isNativeError(thrown) || thrown instanceof Error
  } catch {
    // A Proxy may refuse to tell.
    return false
  }
}

/** Throws `error` as an uncaught exception, outside the current call stack. */
function surface (error) {
  process.nextTick(raise, error)
}

function raise (error) {
  throw error
}

/** Details that a failure in the native half may have. `system` is the system's name for it, as `ENOSPC`. */
const DETAILS = ['system', 'log', 'seq', 'change', 'path', 'address']

/** The error for a failure that the native half describes, with `code`, `message`, and the {@link DETAILS} that it has. */
function failure (described) {
  const error = coded(described.code, described.message)
  for (const name of DETAILS) {
    if (described[name] !== undefined && described[name] !== null) error[name] = described[name]
  }
  // Node.js uses negative numbers for `errno`.
  if (typeof described.errno === 'number') error.errno = -described.errno
  return error
}

/** A network error of the system, with the fields of Node's own errors. */
function systemError (code, message, fields) {
  return Object.assign(coded(code, message), fields)
}

/**
 * Marks an error that an encoder has thrown as caused by a value.
 *
 * @param {Error} error keeps its code if it has one, because 1.x's encoders pass on Node's errors
 * @param {string} event the message
 * @param {string} [field] the path of the field
 */
function valueFault (error, event, field) {
  if (error.code === undefined) error.code = 'ERR_HYPER_VALUE'
  return Object.assign(error, { event }, field !== undefined && { field })
}

/**
 * An event without a message in the schema and without a registered codec. `Class` is the class of the error for its payload.
 */
function noSuchMessage (name, reason, hint, Class) {
  return Object.assign(coded('ERR_HYPER_VALUE', `${reason}. There is no message '${name}' in the schema: ${hint}`, Class), { event: name })
}

/** An event with the name of an enum of the schema. 1.x's text, and the reason. */
function notAMessage (name) {
  return noSuchMessage(name, 'encoder.encode is not a function', 'that is an enum', TypeError)
}

module.exports = {
  HyperError,
  asError,
  failure,
  reasonOf,
  stackOf,
  surface,
  systemError,
  valueFault,

  // ---- the constructor

  optionsNotObject: define(INVALID, TypeError, (given) => `options must be an object, not ${typeof given}`),
  optionNotNumber: define(INVALID, RangeError,
    (name, value) => `${name} must be a number from 0, not ${typeof value === 'number' ? value : typeof value}`),
  optionNotBoolean: define(INVALID, TypeError, (name, value) => `${name} must be true or false, not ${typeOf(value)}`),
  unknownKey: define(INVALID, TypeError, (where, key, hint) => `${where} has no '${key}': ${hint}`),
  badProtobufOption: define(INVALID, TypeError, (value) => `protobuf is 'standard' or '1.x', not ${String(value)}`),
  laxCodec: define(INVALID, TypeError,
    (name) => `strict is given, but message '${name}' was compiled without it: pass strict to HyperEmitter.compile`),
  badSchema: define(INVALID, TypeError,
    (schema) => `schema must be text, a stream of text or an object of codecs, not ${typeof schema}`),
  schemaTooLong: define(INVALID, RangeError, (limit) => `the schema stream brings more than ${limit} bytes`),
  codecsNotExtensible: define(INVALID, TypeError,
    () => 'the codecs object must be extensible: the codecs Event and EventPeer are added to it'),
  badStorePath: define(INVALID, TypeError, (path) => `the path of a store must name a folder, not ${JSON.stringify(path)}`),
  readOnlyElsewhere: define(INVALID, TypeError,
    () => 'readOnly needs the path of a folder: only the embedded store can be read while another process has it open'),
  badBackupOption: define(INVALID, TypeError, (given) => `copy must be true or false, not ${typeOf(given)}`),
  readOnly: define('ERR_HYPER_READ_ONLY', undefined,
    () => 'the store is open read-only here: only the emitter that has it open for writing can do this'),
  notADatabase: define(INVALID, TypeError,
    (missing) => `db must be a path, a levelup or abstract-level database, or nothing for memory; what was given has no ${missing.join(', ')}`),
  databaseWithoutBytes: define(INVALID, TypeError,
    () => "db cannot hold bytes: open it with storeEncoding 'buffer' (the default) or 'view'", (cause) => ({ cause })),
  noBinary: define('ERR_HYPER_NO_BINARY', Error, (message) => message),

  // ---- emitting

  nameRequired: define(INVALID, Error, () => 'name is required'),
  nameNotString: define(INVALID, TypeError, (name) => `name must be a string, not ${typeof name}`),
  badTags: define('ERR_HYPER_VALUE', TypeError, (name, why) => `tags of event '${name}': ${why}`, (event) => ({ event })),
  upcastNotFunctions: define(INVALID, TypeError, () => 'upcast must be an object from event name to a function of the payload'),
  upcastToNothing: define('ERR_HYPER_DECODE', TypeError, (name) => `upcast of event '${name}' returned nothing`),
  tagsNotFunctions: define(INVALID, TypeError, () => 'tags must be an object from event name to a function of the payload'),
  emitOptionsNotObject: define(INVALID, TypeError, (given) => `the options of an event must be an object, not ${typeOf(given)}`),
  badBatch: define(INVALID, TypeError, (why) => `append: ${why}`),
  badDemand: define(INVALID, TypeError, (what, why) => `${what} of an append: ${why}`),
  badDecision: define(INVALID, TypeError, (why) => `decide: ${why}`),
  badTime: define(INVALID, RangeError, (name, value) => `${name} must be a Date or milliseconds since 1970, not ${reasonOf(value)}`),
  badSearch: define(INVALID, TypeError, (why) => `query: ${why}`),
  reservedName: define('ERR_HYPER_RESERVED_NAME', TypeError,
    (name) => `event name '${name}' is reserved: it would crash hyperemitter 1.x peers; choose another name`),
  payloadRequired: define(INVALID, Error, () => 'payload is required'),
  payloadNotBytes: define('ERR_INVALID_ARG_TYPE', TypeError, () => 'argument must be a string'),
  tooLarge: define('ERR_HYPER_TOO_LARGE', RangeError,
    (name, size, limit) => `event '${name}' is ${size} bytes, the limit is ${limit}: split it, or raise maxEventSize on every peer`,
    (event) => ({ event })),
  peerWithoutAddresses: define(INVALID, Error,
    () => 'an EventPeer must have addresses: without them it would crash hyperemitter 1.x peers'),
  noSuchMessage,
  notAMessage,
  backlog: define('ERR_HYPER_BACKLOG', undefined,
    (count) => `${count} emits wait for the schema to be read: wait for ready() before emitting more`),
  closed: define('ERR_HYPER_CLOSED', undefined,
    () => 'the emitter is closed: create a new HyperEmitter on the same store to continue'),

  // ---- codecs

  badCodecs: define(INVALID, TypeError, () => 'registerCodec takes a name and a codec, an array, or an object of codecs, not null'),
  unknownEncoding: define('ERR_HYPER_DECODE', undefined, (mark) => `encoding ${mark} is not known to this version`),
  undecodable: define('ERR_HYPER_DECODE', undefined,
    (cause, name, change) => `event '${name}' of change ${change} does not decode: ${reasonOf(cause)}`,
    (cause, event, change) => ({ cause, event, change })),
  schemaDrift: define('ERR_HYPER_SCHEMA_DRIFT', undefined,
    ({ first, more }) => `the schema cannot read every stored event: ${first.map(({ path, was, is }) => `${path}: was ${was}, is ${is}`).join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
    ({ first }) => ({ differences: first })),
  schemaTooLarge: define('ERR_HYPER_TOO_LARGE', undefined,
    (size, limit) => `the description of the schema is ${size} bytes, the limit is ${limit}: it is not compared with those of peers`),
  decodesTooLarge: define('ERR_HYPER_DECODE', RangeError,
    (ratio) => `Decoded message is not valid: decoding would take more than ${ratio} times its bytes`),
  otherWireType: define('ERR_HYPER_DECODE', Error,
    (field, kind, found) => `${field} is ${kind} in this schema, but was written as ${found}: the sender uses another schema`),
  notReadableBy1x: define('ERR_HYPER_VALUE', Error,
    (message) => `${message}: in 1.x's encoding of this recursive schema the message would not decode, and would end 1.x processes. Leave out the fields after the nested message, or use protobuf: 'standard'`,
    (message, cause) => ({ cause })),
  notBytes: define('ERR_INVALID_ARG_TYPE', TypeError, (value) => `expected a Buffer or Uint8Array, got ${typeOf(value)}`),
  /** A JSON value that does not fit the field at `path`. */
  badJson: define('ERR_HYPER_VALUE', TypeError, (path, why) => `${path}: ${why}`),
  badJsonRange: define('ERR_HYPER_VALUE', RangeError, (path, why) => `${path}: ${why}`),

  // ---- listeners

  listenerNotFunction: define(INVALID, TypeError, (given) => `a listener must be a function, not ${typeOf(given)}`),
  neverListened: define(INVALID, TypeError, (name) => `nobody has ever listened to '${name}': there is no listener to remove`),
  symbolName: define(INVALID, TypeError, (name) => `event names are text: ${String(name)} can never be emitted`),
  changesAreReadOnly: define(INVALID, Error, () => 'events reach listeners through the log: use emit'),

  // ---- reading

  queryNotObject: define(INVALID, TypeError, () => 'read takes an object of options'),
  liveAndReverse: define(INVALID, TypeError, (what) => `${what} cannot be live and reverse`),
  notAbortSignal: define(INVALID, TypeError, () => 'signal must be an AbortSignal'),
  notWholeNumber: define(INVALID, TypeError, (name, value) => `${name} must be a whole number from 0, not ${String(value)}`),
  outOfRange: define(INVALID, RangeError, (name, value) => `${name} must be a whole number from 0, not ${String(value)}`),
  badStreamStart: define(INVALID, RangeError, (from) => `from must be 'beginning', a change or a cursor, not ${from}`),
  /** A change beyond the end of the log: it belongs to another store, or to this one before it was restored from a backup. */
  beyondEnd: define(INVALID, RangeError,
    (name, change, last) => `${name} is ${change}, but the log ends with change ${last}: the number seems to come from another store`),
  badCursor: define(INVALID, TypeError,
    (what, why) => `${what} must be the cursor of an event, a node, or { log, seq, key }: ${why}`),
  /** An event that a portable cursor names is not stored. */
  eventMissing: define('ERR_HYPER_NOT_FOUND', undefined,
    (what, { log, seq }, why) => `${what}: entry ${seq} of log ${log} is not stored here: ${why}`, (what, { log, seq }) => ({ log, seq })),
  badTimeout: define(INVALID, RangeError, (value, most) => `timeout must be milliseconds from 0 to ${most}, or Infinity, not ${reasonOf(value)}`),
  notCaughtUp: define('ERR_HYPER_TIMEOUT', undefined,
    ({ log, seq }, timeout, why) => `not caught up with entry ${seq} of log ${log} within ${timeout} ms: ${why}`, ({ log, seq }) => ({ log, seq })),
  notAKey: define(INVALID, TypeError, (key) => `${String(key)} is not a node key: 64 lowercase hex digits expected`),
  noSuchNode: define('ERR_HYPER_NOT_FOUND', undefined, (key) => `there is no node ${key}`, () => ({ notFound: true, status: 404 })),
  namelessPosition: define(INVALID, TypeError, () => 'a position needs a name'),
  badImportSource: define(INVALID, TypeError, () => 'importFrom takes a database or the path of a store'),
  badAdoptedLog: define(INVALID, TypeError, () => 'adopt takes the id of a log'),
  badAdoptedKey: define(INVALID, TypeError, () => 'the key passed to adopt must be text'),

  // ---- subscriptions

  badSubscription: define(INVALID, TypeError, (name, why) => `subscription '${name}': ${why}`),
  nameSubscribed: define(INVALID, Error,
    (name) => `subscription '${name}' is already running in this emitter: stop it first, or choose another name`),
  subscriptionOver: define('ERR_HYPER_CLOSED', undefined, () => 'the subscription is stopped: subscribe again to continue'),
  subscriptionHasHandler: define(INVALID, TypeError, (name) => `subscription '${name}' has a handler: leave the handler out to take the entries in a loop`),
  subscriptionHasLoop: define(INVALID, Error, (name) => `subscription '${name}' already has a loop that takes its entries: a subscription can have only one`),
  noSuchSubscription: define('ERR_HYPER_NOT_FOUND', undefined, (name) => `the store knows no subscription '${name}'`),
  attemptOver: define('ERR_HYPER_CLOSED', undefined, () => 'the attempt is over: events that it appends now would not be stored'),
  entrySkipped: define('ERR_HYPER_CLOSED', undefined, () => 'the entry was skipped while the handler was running'),
  /** It is not known how the last attempt ended. */
  cutOff: define('ERR_HYPER_CLOSED', undefined, () => 'the process ended, or the emitter was closed, while the handler was running'),
  attemptTimedOut: define('ERR_HYPER_TIMEOUT', undefined,
    (name, timeout) => `subscription '${name}': the handler has not answered within ${timeout} ms`),
  tooManyParked: define('ERR_HYPER_PARKED', undefined,
    (name, most, cause) => `subscription '${name}' has stopped, because ${most} entries are parked and one more has failed (${reasonOf(cause)}): retry or skip some, and subscribe again`,
    (name, most, cause) => ({ cause })),
  entryNotParked: define('ERR_HYPER_NOT_FOUND', undefined,
    (name, { log, seq }) => `subscription '${name}': entry ${seq} of log ${log} is neither parked nor waiting for an attempt`, (name, { log, seq }) => ({ log, seq })),
  badConsumerRecord: define('ERR_HYPER_DAMAGED', undefined,
    (name, change) => `the record ${change} of subscription '${name}' cannot be read by this version: reset the subscription with hypem consumers reset`),

  // ---- projections

  badProjection: define(INVALID, TypeError, (name, why) => `projection '${name}': ${why}`),
  projectionAtWork: define(INVALID, Error,
    (name) => `projection '${name}' is already running in this emitter: stop it first, or choose another name`),
  projectionOver: define('ERR_HYPER_CLOSED', undefined, () => 'the projection is stopped: project again to continue'),
  noSuchProjection: define('ERR_HYPER_NOT_FOUND', undefined, (name) => `the store knows no projection '${name}'`),
  projectionChanged: define('ERR_HYPER_PROJECTION', undefined,
    ({ name, version }) => `projection '${name}': version ${version} was derived with another query, with reducers for other events, or with (or without) a key: give the new definition another version`),
  reducerFailed: define('ERR_HYPER_PROJECTION', undefined,
    ({ name, version }, entry, cause) => `projection '${name}', version ${version}, has stopped at change ${entry.change}, event '${entry.name}': ${reasonOf(cause)}`,
    (projection, { cursor, name, change }, cause) => ({ cursor, event: name, change, cause })),
  asyncReducer: define(INVALID, TypeError, () => 'a reducer must return the state, not a promise'),
  stateNotKept: define('ERR_HYPER_PROJECTION', undefined,
    ({ name, version }, key, by, cause) => `projection '${name}', version ${version}, has stopped: the state of key '${key}' after change ${by.change}, event '${by.name}', cannot be stored (${reasonOf(cause)}); store: 'memory' keeps states in memory only`,
    (projection, key, { cursor, name, change }, cause) => ({ cursor, event: name, change, cause })),
  stateTooLarge: define('ERR_HYPER_PROJECTION', undefined,
    ({ name, version }, key, by, size, limit) => `projection '${name}', version ${version}, has stopped: the state of key '${key}' after change ${by.change}, event '${by.name}', is ${size} bytes, the limit is ${limit}: use more keys, or store: 'memory'`,
    (projection, key, { cursor, name, change }) => ({ cursor, event: name, change })),
  newVersionAnswers: define('ERR_HYPER_PROJECTION', undefined,
    ({ name, version }) => `projection '${name}': the states of version ${version} were replaced while they were listed: list them again`),
  keptUnreadable: define('ERR_HYPER_DAMAGED', undefined,
    (kept, why) => `the stored value '${kept}' of a projection cannot be read: ${why}`, (kept) => ({ kept })),
  /** A warning. */
  projectionRestarted: define('ERR_HYPER_REPAIRED', undefined,
    ({ name, version }, cause) => `projection '${name}', version ${version}, is derived from the beginning, because its stored states cannot be used: ${cause.message}`,
    (projection, cause) => ({ cause })),

  // ---- peers

  portMissing: define('ERR_MISSING_ARGS', TypeError, () => 'The "options" or "port" or "path" argument must be specified'),
  badPort: define('ERR_SOCKET_BAD_PORT', RangeError, (name, shown) => `${name} should be >= 0 and < 65536. Received ${shown}.`),
  hostNotString: define('ERR_INVALID_ARG_TYPE', TypeError,
    (host) => `The "host" argument must be of type string. Received type ${typeof host}`),
  alreadyListening: define('ERR_SERVER_ALREADY_LISTEN', undefined,
    () => 'Listen method has been called more than once without closing.'),
  badPeersRecord: define('ERR_HYPER_PEERS', undefined,
    (cause) => `the record of known peers is not JSON and is ignored: ${cause.message}`),
  insecureDial: define('ERR_HYPER_INSECURE', undefined,
    (peer) => `${peer} must be dialled with TLS, but the emitter has no options for it: pass tls: { … } to the constructor`),
  noTlsOptions: define(INVALID, TypeError, () => 'listen({ tls: true }) needs the option tls of the constructor'),
  timedOut: define('ETIMEDOUT', Error, (host, port) => `connect ETIMEDOUT ${host}:${port}`, () => ({ syscall: 'connect' })),
  streamEnded: define('ERR_HYPER_CONNECT', undefined, () => 'the stream ended before the peer had introduced itself'),
  notADuplex: define(INVALID, TypeError, (given) => `handle takes a Duplex stream, not ${typeOf(given)}`),
  howNotObject: define(INVALID, TypeError, (method, given) => `the options of ${method} must be an object, not ${typeOf(given)}`),

  // ---- trust

  badIdentity: define(INVALID, TypeError,
    (why) => `identity must be an Ed25519 private key (PKCS#8), but ${why}: make one with hypem keygen FILE`),
  keyFileUnreadable: define(INVALID, Error,
    (path, cause) => `identity: the key file ${path} cannot be read (${cause.message}); hypem keygen FILE makes one`, (path, cause) => ({ path, cause })),
  keyFileExists: define('EEXIST', Error, (path) => `${path} already exists, and keys are never overwritten: remove it, or choose another name`),
  badTls: define(INVALID, TypeError, (tls) => `tls must be an object of node:tls's options, or true for those of the emitter, not ${typeOf(tls)}`),
  badSecret: define(INVALID, TypeError, () => 'secret must be 32 bytes: a Buffer, or 64 hexadecimal digits'),
  networkNotString: define(INVALID, TypeError, (network) => `network must be a name, not ${typeof network === 'string' ? 'an empty text' : typeOf(network)}`),
  badPeers: define(INVALID, TypeError, (peers) => `peers must be an object of public keys and rights, a Map, or a function, not ${typeOf(peers)}`),
  keysWithoutIdentity: define(INVALID, TypeError, () => 'public keys in peers need the option identity: without it, peers can name TLS certificates only'),
  badRight: define(INVALID, TypeError, (where, right) => `${where} must be 'read' or 'write', not ${reasonOf(right)}`),
  badAuthors: define(INVALID, TypeError,
    (authors) => `authors must be 'all', 'peers' with a map of peers, or a list of public keys, not ${reasonOf(authors)}`),
  badUnsigned: define(INVALID, TypeError,
    (unsigned) => `unsigned must be 'accept', 'refuse', or { [log]: { seq, digest } }, not ${reasonOf(unsigned)}`),
  badPins: define(INVALID, TypeError, (where) => `${where} must have { seq, digest } for each log, as in stats().logs`),
  badRevoked: define(INVALID, TypeError,
    (revoked) => `revoked must be { [publicKey]: true | { [log]: { seq, digest } } }, not ${reasonOf(revoked)}`),
  badPlain: define(INVALID, TypeError,
    () => "plain must be true, false, a right, or { from: ['10.0.0.0/8', …], can: 'read' | 'write' }"),

  /** The server at `key` closed every connection before it had introduced itself. */
  hungUp: define('ERR_HYPER_CONNECT', undefined, (key) => `cannot connect to ${key}: the server there closes connections without sending anything; is it a hyperemitter, and is it running?`, (key, cause) => ({ address: key, cause })),
  /** The error of links that end because the emitter is closed, in 1.x's words. */
  prematureClose: define('ERR_HYPER_CLOSED', undefined, () => 'premature close'),

  // ---- hypem

  lockedDatabase: define('ERR_HYPER_LOCKED', undefined, (path) => `${path} is in use by another process: close it there first`)
}
