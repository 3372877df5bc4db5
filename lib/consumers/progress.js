'use strict'

const { progressText } = require('./records')

/**
 * Most entries that are taken and not done, including those that wait for a retry of their key. Each of them is in every
 * checkpoint.
 */
const MAX_UNDONE = 1024

/** Most bytes of their payloads, encoded, without the last one's, because all of them are in memory. */
const MAX_UNDONE_BYTES = 64 * 1024 * 1024

/** The progress of a subscription, in memory: which entries are not done. Entries are taken in the order of the log. */
class Progress {
  /**
   * @param {import('./records').Progress} saved
   * @param {number} ahead how many entries may be begun without being in the saved record
   * @param {number} end the last change when the subscription started: no later entry can have been begun before
   */
  constructor (saved, ahead, end) {
    /** Entries up to this one have been taken. */
    this.change = saved.change
    /** Where reading starts: everything before it is done. */
    this.start = saved.undone.size > 0 ? firstOf(saved.undone) - 1 : saved.change
    /** Entries that a previous run left undone and that have not been taken yet, with their attempts. */
    this.left = new Map(saved.undone)
    /** Entries taken that are not done, by change. */
    this.undone = new Map()
    /** Bytes of their payloads. */
    this.bytes = 0
    this.ahead = ahead
    this.end = end
    /** Numbers of entries taken and of attempts begun, now and at the last saved record. */
    this.taken = 0
    this.takenSaved = 0
    this.begun = 0
    this.begunSaved = 0
    this.savedAhead = saved.ahead
    this.savedChange = saved.change
    /** How many of the next entries an interrupted run may have begun. */
    this.suspects = saved.ahead === 0 ? 0 : saved.ahead + saved.undone.size
    /** How many of them have been taken and are not done. */
    this.suspectsUndone = 0
    /** Whether the run has ended in an orderly way. */
    this.isOver = false
  }

  /** The change up to which everything is done. */
  get done () {
    if (this.undone.size > 0) return firstOf(this.undone) - 1
    return this.left.size > 0 ? firstOf(this.left) - 1 : this.change
  }

  /** Whether entries are handled one at a time, because one of them may have crashed the process. */
  get isCareful () {
    return this.suspects > 0 || this.suspectsUndone > 0
  }

  /** Whether no more entries may be taken before others are done. */
  get isFull () {
    return this.undone.size >= MAX_UNDONE || this.bytes >= MAX_UNDONE_BYTES
  }

  /** Whether another attempt may begin. After a crash, no more may have to be repeated than the record says. */
  get mayBegin () {
    return this.savedAhead >= this.ahead && this.begun - this.begunSaved < this.ahead
  }

  /** Whether another entry may be taken. Any entry after the saved change counts as one that may have begun. */
  get mayTake () {
    return this.taken - this.takenSaved < this.ahead && this.mayBegin
  }

  /**
   * Decides about an entry that has been read. If it has to be handled, returns the number of attempts so far, and whether an
   * interrupted run may have begun it without a record.
   *
   * @returns {{ attempts: number, isSuspect: boolean } | undefined} undefined if it is done
   */
  take (change) {
    let attempts = 0
    if (change <= this.change) {
      attempts = this.left.get(change)
      if (attempts === undefined) return undefined
      this.left.delete(change)
    } else {
      this.change = change
      this.taken++
    }
    // Entries after the end at the start cannot have been begun.
    if (change > this.end) this.suspects = 0
    const isSuspect = this.suspects > 0
    if (isSuspect) this.suspects--
    return { attempts, isSuspect }
  }

  /** Notes that the log has been read up to this change. */
  skip (change) {
    if (change > this.change) this.change = change
    if (change >= this.end) this.suspects = 0
    // Drops entries that the query no longer wants.
    for (const left of this.left.keys()) if (left <= change) this.left.delete(left)
  }

  /** Adds an entry that has to be handled. */
  add (item) {
    this.undone.set(item.change, item)
    this.bytes += item.bytes
    if (item.isSuspect) this.suspectsUndone++
  }

  finish (item) {
    if (!this.undone.delete(item.change)) return
    this.bytes -= item.bytes
    if (item.isSuspect) this.suspectsUndone--
  }

  /**
   * The state: the change up to which everything is done, the number of other entries, and when the first of them was emitted,
   * if it has been taken.
   */
  stats () {
    const first = this.undone.size > 0 ? this.undone.get(firstOf(this.undone)) : undefined
    return { change: this.done, undone: this.undone.size + this.left.size, oldest: first?.entry.time }
  }

  /** The record, and a function to call once it is stored. */
  snapshot () {
    const { change, taken, begun } = this
    const undone = new Map()
    for (const item of this.undone.values()) undone.set(item.change, item.recorded)
    for (const [left, attempts] of this.left) undone.set(left, attempts)
    // If it stopped while entries were being checked one at a time, the next entries may have been begun.
    const ahead = this.isOver && !this.isCareful ? 0 : this.ahead
    return {
      text: progressText({ change, undone, ahead }),
      saved: () => {
        this.takenSaved = taken
        this.begunSaved = begun
        this.savedAhead = ahead
        this.savedChange = change
      }
    }
  }
}

/** The first key of a map that has one. */
function firstOf (map) {
  return map.keys().next().value
}

module.exports = { Progress, MAX_UNDONE }
