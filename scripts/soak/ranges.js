'use strict'

/** A set of numbers that mostly come in order: `list` is `[[first, last], …]`, ascending. */
class Ranges {
  constructor (list = []) {
    this.list = list
  }

  add (n) {
    let at = this.list.length
    while (at > 0 && this.list[at - 1][0] > n) at--
    const before = this.list[at - 1]
    if (before && n <= before[1]) return
    if (before && before[1] === n - 1) before[1] = n
    else this.list.splice(at++, 0, [n, n])
    const after = this.list[at]
    const own = this.list[at - 1]
    if (after && after[0] === own[1] + 1) {
      own[1] = after[1]
      this.list.splice(at, 1)
    }
  }

  has (n) {
    return this.list.some(([first, last]) => first <= n && n <= last)
  }

  get size () {
    return this.list.reduce((sum, [first, last]) => sum + last - first + 1, 0)
  }

  /** Divides the numbers of this set into those that are in the other set and those that are not. */
  split (other) {
    const both = []
    const only = []
    for (const [first, last] of this.list) for (let n = first; n <= last; n++) (other.has(n) ? both : only).push(n)
    return { both, only }
  }
}

module.exports = { Ranges }
