'use strict'

const { progressText } = require('./records')

/** How far a subscription has come, in memory: which entries are not done. Entries are taken in the order of the log. */
class Progress {
  /**
   * @param {import('./records').Progress} saved
   * @param {number} ahead so many entries may be begun before what is saved says so
   * @param {number} end the last change when the subscription started: nothing behind it can have been begun before
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
    this.ahead = ahead
    this.end = end
    /** Entries taken and attempts begun, and how many of each were before what is saved. */
    this.taken = 0
    this.takenSaved = 0
    this.begun = 0
    this.begunSaved = 0
    this.savedAhead = saved.ahead
    this.savedChange = saved.change
    /** How many of the next entries a run that was cut off may have begun. */
    this.suspects = saved.ahead === 0 ? 0 : saved.ahead + saved.undone.size
    /** Those of them that have been taken and are not done. */
    this.suspectsUndone = 0
    /** The run is over in an orderly way. */
    this.isOver = false
  }

  /** Up to this change everything is done. */
  get done () {
    if (this.undone.size > 0) return firstOf(this.undone) - 1
    return this.left.size > 0 ? firstOf(this.left) - 1 : this.change
  }

  /** Whether entries are handled one at a time, because one of them may have ended the process. */
  get isCareful () {
    return this.suspects > 0 || this.suspectsUndone > 0
  }

  /** Whether another attempt may begin: a crash must not leave more to be repeated than the record says. */
  get mayBegin () {
    return this.savedAhead >= this.ahead && this.begun - this.begunSaved < this.ahead
  }

  /** Whether another entry may be taken, too: among those behind the saved change, any may have begun. */
  get mayTake () {
    return this.taken - this.takenSaved < this.ahead && this.mayBegin
  }

  /**
   * An entry has been read. Whether it is to be handled: with the attempts that have been begun, and whether a run that was cut off may
   * have begun it without a record of that.
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
    // Behind the end at the start, nothing was there to be begun.
    if (change > this.end) this.suspects = 0
    const isSuspect = this.suspects > 0
    if (isSuspect) this.suspects--
    return { attempts, isSuspect }
  }

  /** The log has been read up to this change. */
  skip (change) {
    if (change > this.change) this.change = change
    if (change >= this.end) this.suspects = 0
    // What the query does not want any more.
    for (const left of this.left.keys()) if (left <= change) this.left.delete(left)
  }

  /** An entry is to be handled. */
  add (item) {
    this.undone.set(item.change, item)
    if (item.isSuspect) this.suspectsUndone++
  }

  finish (item) {
    if (this.undone.delete(item.change) && item.isSuspect) this.suspectsUndone--
  }

  /** How it stands: up to where everything is done, what is not, and when the first of that was emitted, if it has been taken. */
  stats () {
    const first = this.undone.size > 0 ? this.undone.get(firstOf(this.undone)) : undefined
    return { change: this.done, undone: this.undone.size + this.left.size, oldest: first?.entry.time }
  }

  /** The record, and what to do once it is stored. */
  snapshot () {
    const { change, taken, begun } = this
    const undone = new Map()
    for (const item of this.undone.values()) undone.set(item.change, item.recorded)
    for (const [left, attempts] of this.left) undone.set(left, attempts)
    // What somebody left running when it stopped may have been begun by then.
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

module.exports = Progress
