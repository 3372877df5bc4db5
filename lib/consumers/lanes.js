'use strict'

/** Entries by key: of each key, one entry is under way at a time, in the order of the log. */
class Lanes {
  constructor () {
    /** For each key with an entry under way: the entries that wait for it. */
    this.lanes = new Map()
  }

  /** Adds an entry. Returns whether it may begin; otherwise it waits until earlier entries with its key are done. */
  enter (item) {
    const { key } = item
    const lane = this.lanes.get(key)
    if (lane === undefined) {
      this.lanes.set(key, null)
      return true
    }
    if (lane === null) this.lanes.set(key, [item])
    else lane.push(item)
    return false
  }

  /** Removes the entry under way, because it is done. Returns the next one with its key, which may begin. */
  leave ({ key }) {
    const next = this.lanes.get(key)?.shift()
    if (next === undefined) this.lanes.delete(key)
    return next
  }
}

module.exports = Lanes
