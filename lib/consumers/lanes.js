'use strict'

/** Entries by key: of each key one is under way at a time, in the order of the log. */
class Lanes {
  constructor () {
    /** For each key that has an entry under way: those that wait behind it, if there are any. */
    this.lanes = new Map()
  }

  /** An entry has come. Whether it may begin; otherwise it waits until those before it with its key are done. */
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

  /** The entry under way is done. The next of its key, which may begin. */
  leave ({ key }) {
    const next = this.lanes.get(key)?.shift()
    if (next === undefined) this.lanes.delete(key)
    return next
  }
}

module.exports = Lanes
