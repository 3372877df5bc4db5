'use strict'

const { badSubscription, notAbortSignal, optionNotBoolean } = require('../errors')
const checkKeys = require('../known-keys')
const { backoffOf } = require('./backoff')
const { MAX_UNDONE } = require('./progress')

/** Default number of attempts at an entry before it is parked. */
const MAX_ATTEMPTS = 10

/** Default time limit of an attempt, in milliseconds, so that a handler that never answers is noticed. */
const ATTEMPT_TIMEOUT = 30_000

/** Default number of keys whose entries are handled concurrently. */
const MAX_CONCURRENCY = 16

/** By default, a checkpoint is stored after this many entries, or this many milliseconds after the first of them. */
const EVERY = 1024
const WITHIN = 200

const KEYS = ['from', 'key', 'concurrency', 'attempts', 'backoff', 'timeout', 'checkpoint', 'group', 'raw', 'signal']

/** The longest time that a timer of Node.js waits, in milliseconds. */
const MAX_DELAY = 2 ** 31 - 1

/** Most bytes of a subscription's name, which is in each of its records. */
const MAX_NAME_LENGTH = 256

/** Most entries per checkpoint: after a crash up to twice as many are handled one at a time. */
const MAX_EVERY = 65_536

/** Most members of a group. */
const MAX_MEMBERS = 65_536

/**
 * The options of `subscribe`, checked and completed.
 *
 * @typedef {object} SubscriptionOptions
 * @property {string} name under which its records are stored
 * @property {*} from where a new name starts
 * @property {(entry: object) => *} [key]
 * @property {number} concurrency
 * @property {number} attempts
 * @property {(attempt: number, error: Error, entry: object) => number} backoff milliseconds before the next attempt
 * @property {number} timeout
 * @property {number} every
 * @property {number} within
 * @property {{ member: number, size: number }} [group]
 * @property {boolean} raw
 * @property {AbortSignal} [signal]
 *
 * @param {string} name
 * @param {object} [given]
 * @returns {SubscriptionOptions}
 */
function checkSubscription (name, given = {}) {
  checkName(name)
  if (given === null || typeof given !== 'object') throw badSubscription(name, 'its options must be an object')
  checkKeys(`subscription '${name}'`, given, KEYS)
  const {
    from = 'beginning', key, concurrency = key === undefined ? 1 : MAX_CONCURRENCY, attempts = MAX_ATTEMPTS, backoff, timeout = ATTEMPT_TIMEOUT, checkpoint = {}, group,
    raw = false, signal
  } = given
  if (key !== undefined && typeof key !== 'function') throw badSubscription(name, 'key must be a function of the entry')
  checkCount(name, 'concurrency', concurrency, MAX_UNDONE)
  if (concurrency > 1 && key === undefined) throw badSubscription(name, 'concurrency needs the option key: entries with the same key are handled one after the other, and without it all have the same')
  checkCount(name, 'attempts', attempts, Infinity)
  if (timeout !== Infinity) checkCount(name, 'timeout', timeout, MAX_DELAY)
  if (typeof checkpoint !== 'object' || checkpoint === null) throw badSubscription(name, 'checkpoint must be { every, within }')
  checkKeys(`checkpoint of subscription '${name}'`, checkpoint, ['every', 'within'])
  const { every = EVERY, within = WITHIN } = checkpoint
  checkCount(name, 'checkpoint.every', every, MAX_EVERY)
  checkCount(name, 'checkpoint.within', within, MAX_DELAY)
  if (typeof raw !== 'boolean') throw optionNotBoolean('raw', raw)
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function') throw notAbortSignal()
  if (group !== undefined) checkGroup(name, group, key)
  return {
    name: group === undefined ? name : memberName(name, group),
    from,
    key,
    concurrency,
    attempts,
    backoff: backoffOf(name, backoff, MAX_DELAY),
    timeout,
    every,
    within,
    group,
    raw,
    signal
  }
}

function checkName (name) {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) throw badSubscription(String(name), 'its name must be a string')
  if (Buffer.byteLength(name) > MAX_NAME_LENGTH) throw badSubscription(name, `its name has more than ${MAX_NAME_LENGTH} bytes`)
  if (name.includes('@')) throw badSubscription(name, 'its name must not contain @, which stands before the member of a group')
}

/** Checks a name under which records are stored: that of a subscription, or of a member of a group. */
function checkStoredName (name) {
  checkName(typeof name === 'string' ? name.replace(/@\d+\/\d+$/, '') : name)
}

function checkCount (name, what, value, most) {
  if (value === Infinity && most === Infinity) return
  if (!Number.isSafeInteger(value) || value < 1 || value > most) {
    throw badSubscription(name, `${what} must be a whole number from 1${most === Infinity ? '' : ` to ${most}`}, not ${String(value)}`)
  }
}

function checkGroup (name, group, key) {
  checkKeys(`group of subscription '${name}'`, group ?? {}, ['member', 'size'])
  const { member, size } = group ?? {}
  checkCount(name, 'group.size', size, MAX_MEMBERS)
  if (!Number.isSafeInteger(member) || member < 0 || member >= size) {
    throw badSubscription(name, `group.member must be a whole number from 0 to ${size - 1}, not ${String(member)}`)
  }
  if (key === undefined) throw badSubscription(name, 'a group shares keys, and needs the option key')
}

/** The name under which a member of a group keeps its records. */
function memberName (name, { member, size }) {
  return `${name}@${member}/${size}`
}

module.exports = { checkStoredName, checkSubscription }
