'use strict'

const { MORE_ACKS, MORE_EVENTS, MORE_NOTICES } = require('./layout')

/** Packs of acks handled in one turn. With more, their events, and the emits that follow from them, would come later. */
const PACKS = 2

/**
 * Decides when to take acks, events and notices from the native half. A turn delivers events whose callbacks have run, then
 * runs the callbacks that are due, then handles notices. The rest is left to the next turn of the event loop, so that timers
 * and sockets get their turn. So whatever a callback has scheduled runs before listeners hear its event, as in 1.x.
 */
class Pump {
  /**
   * @param {object} parts
   * @param {import('./turn-scheduler')} parts.scheduler
   * @param {import('./acks')} parts.acks
   * @param {import('../delivery/dispatcher')} parts.dispatcher
   * @param {import('./notices')} parts.notices
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../lifecycle/process-hold')} parts.hold
   */
  constructor ({ scheduler, acks, dispatcher, notices, state, hold }) {
    this.scheduler = scheduler
    this.acks = acks
    this.dispatcher = dispatcher
    this.notices = notices
    this.state = state
    this.hold = hold
  }

  turn () {
    let again = true
    try {
      again = this.dispatcher.deliver()
      // `ready` comes before the callbacks of what was emitted before it.
      if (this.state.opening) this.notices.hear()
      let more
      let packs = 0
      do {
        const before = this.acks.pending
        more = this.acks.take()
        // Their events may be delivered in the next turn.
        if (this.acks.pending !== before) again = true
      } while ((more & MORE_ACKS) !== 0 && ++packs < PACKS)
      if ((more & MORE_ACKS) !== 0) again = true
      // Events of peers have no callback to wait for.
      if ((more & MORE_EVENTS) !== 0 && !this.dispatcher.waits) again = true
      if ((more & MORE_NOTICES) !== 0 || this.notices.left) this.notices.hear()
    } catch (error) {
      // A user's function threw; everything after it continues in the next turn.
      again = true
      throw error
    } finally {
      if (again) this.scheduler.schedule()
      this.hold.refresh()
    }
  }
}

module.exports = Pump
