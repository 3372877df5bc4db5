'use strict'

/** Reports events of other emitters that contradict a conditional append of ours. */
class Conflicts {
  /**
   * @param {object} parts
   * @param {import('./reader')} parts.reader
   * @param {import('../status')} parts.status
   */
  constructor ({ reader, status }) {
    this.reader = reader
    this.status = status
  }

  /** @param {{ number: number, total: number }} notice the changes of our event and of theirs */
  hear ({ number: ours, total: theirs }) {
    if (this.status.events.listenerCount('conflict') === 0) return
    Promise.all([this.entry(ours), this.entry(theirs)]).then(
      ([ours, theirs]) => this.status.tell('conflict', { ours, theirs }),
      // A closed emitter reports nothing.
      (error) => { if (error.code !== 'ERR_HYPER_CLOSED') this.status.warn(error) }
    )
  }

  async entry (change) {
    const { value } = await this.reader.read({ since: change - 1, until: change }).next()
    return value
  }
}

module.exports = Conflicts
