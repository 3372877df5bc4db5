'use strict'

const { asError } = require('../errors')
const { memberOf } = require('./group')

/** An entry that is being handled. */
class Item {
  /**
   * @param {object} entry
   * @param {object} [how]
   * @param {number} [how.attempts] attempts that previous runs have begun
   * @param {number} [how.bytes] of the payload, encoded
   * @param {boolean} [how.isSuspect] whether an interrupted run may have begun it
   * @param {boolean} [how.wasParked] whether it is handled again on request; its record says that it is parked until it is done
   */
  constructor (entry, { attempts = 0, bytes = 0, isSuspect = false, wasParked = false }) {
    this.entry = entry
    this.change = entry.change
    this.bytes = bytes
    /** Its lane. */
    this.key = undefined
    /** Attempts that have been begun. */
    this.made = attempts
    /** How many of them are in the records, or will be with the next checkpoint. */
    this.recorded = attempts
    this.isSuspect = isSuspect
    this.wasParked = wasParked
    /** @type {Error | undefined} why it cannot be handled */
    this.fault = undefined
    /** @type {import('./attempt') | undefined} the one under way */
    this.attempt = undefined
    /** When this takes too long (lib/consumers/deadlines.js); 0 if it has no limit. */
    this.due = 0
    /** @type {NodeJS.Timeout | undefined} of what it waits for */
    this.timer = undefined
  }

  /** Determines its key. Returns whether it belongs to this member. */
  findKey ({ key, group }) {
    if (key === undefined) return true
    try {
      this.key = String(key(this.entry))
      return group === undefined || memberOf(this.key, group.size) === group.member
    } catch (error) {
      this.fault = asError(error)
      return group === undefined || group.member === 0
    }
  }
}

module.exports = Item
