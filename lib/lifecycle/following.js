'use strict'

/**
 * Somebody waits for the events of a store that is open read-only. There are no links that would keep the process alive, so
 * listeners and readers that wait do.
 */
class Following {
  /**
   * @param {object} parts
   * @param {import('./store-state')} parts.state
   * @param {import('./process-hold')} parts.hold
   * @param {import('../delivery/listeners').Listeners} parts.listeners
   * @param {import('../log/growth')} parts.growth
   */
  constructor ({ state, hold, listeners, growth }) {
    this.state = state
    this.listeners = listeners
    this.growth = growth
    if (state.readOnly) listeners.onChange = growth.onChange = () => hold.refresh()
  }

  get busy () {
    const { readOnly, closing, failed } = this.state
    return readOnly && !closing && failed === undefined && (this.listeners.size > 0 || this.growth.waiting.size > 0)
  }
}

module.exports = Following
