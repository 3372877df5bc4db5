'use strict'

/**
 * Events that the writer may add to the index itself before it checks an append: as many as it reads at a time, which takes some
 * milliseconds. A few are usually missing, because only searches add events.
 */
const MAX_UNINDEXED = 1024

/**
 * Holds back appends with conditions and ids while the index of a Level database lacks many events. They are added by another
 * thread; if the writer added them, all other appends would wait.
 */
class SearchIndex {
  /**
   * @param {object} core the native half
   * @param {import('../native/requests')} requests
   * @param {import('../status')} status gets the progress of the work
   */
  constructor (core, requests, status) {
    this.core = core
    this.requests = requests
    this.progress = (notice) => status.progress('index', notice)
    /** What to call when the index is up to date. */
    this.waiting = []
  }

  /**
   * Whether an append has to wait. Appends that need the index stay in order.
   *
   * @param {import('./demands').Demands} [demands]
   */
  holdsBack (demands) {
    if (demands === undefined || (demands.id === undefined && !(demands.filter?.items.length > 0))) return false
    return this.waiting.length > 0 || this.core.unindexed() > MAX_UNINDEXED
  }

  /** @param {(error: Error | null) => void} callback */
  whenReady (callback) {
    this.waiting.push(callback)
    if (this.waiting.length === 1) this.prepare()
  }

  prepare () {
    const lacked = this.core.unindexed()
    this.requests.ask((id) => this.core.askSearchIndex(id), (error) => {
      const lacks = this.core.unindexed()
      // Many events may have been stored meanwhile. If they come faster than they are added, the writer has to do the rest.
      if (!error && lacks > MAX_UNINDEXED && lacks < lacked) this.prepare()
      else for (const callback of this.waiting.splice(0)) callback(error)
    }, { progress: this.progress })
  }
}

module.exports = SearchIndex
