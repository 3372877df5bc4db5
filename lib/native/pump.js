'use strict'

const { working } = require('../lifetime')
const { MORE_ACKS, MORE_EVENTS, MORE_NOTICES } = require('./layout')

/**
 * When what is pulled from the native half: one turn hands over events whose callbacks have run, then runs the callbacks
 * that are due, then hears notices, and leaves the rest to the next turn of the event loop, so that timers and sockets
 * get theirs. What a callback has scheduled thus runs before listeners hear its event, as in 1.x.
 */

/** Packs of acks handled in one turn: with more of them, their events and the emits that these bring come later. */
const PACKS = 2

/** The longest interval there is: the timer only holds the process. */
const FOREVER = 2 ** 31 - 1

class Loop {
  /**
   * @param {object} parts
   * @param {object} parts.core the native half
   * @param {import('./acks')} parts.acks
   * @param {import('../delivery/dispatcher')} parts.dispatcher
   * @param {(notice: object) => void} parts.notice hears notices
   * @param {import('../async-context').Context} parts.context where notices, which belong to nobody's request, are heard
   * @param {() => boolean} parts.isOpening
   * @param {() => boolean} parts.needed whether the process must go on for other reasons
   */
  constructor (parts) {
    Object.assign(this, parts)
    this.scheduled = false
    /** Notices taken, heard up to `heard`: one that throws leaves some. */
    this.notices = []
    this.heard = 0
    this.turn = () => this.run()
    this.hold = setInterval(nothing, FOREVER)
    this.held = true
    working.add(this)
    this.wake = () => {
      if (this.scheduled) return
      this.scheduled = true
      setImmediate(this.turn)
    }
  }

  run () {
    this.scheduled = false
    let again = true
    try {
      again = this.dispatcher.pump()
      // `ready` comes before the callbacks of what was emitted before it.
      if (this.isOpening()) this.hear()
      let more
      let packs = 0
      do {
        const before = this.acks.pending
        more = this.acks.take()
        // Their events may be handed over next time.
        if (this.acks.pending !== before) again = true
      } while ((more & MORE_ACKS) !== 0 && ++packs < PACKS)
      if ((more & MORE_ACKS) !== 0) again = true
      // Events of peers have no callback to wait for.
      if ((more & MORE_EVENTS) !== 0 && !this.dispatcher.waits) again = true
      if ((more & MORE_NOTICES) !== 0 || this.notices.length > 0) this.hear()
    } catch (error) {
      // A user's function threw: everything behind it goes on in the next turn.
      again = true
      throw error
    } finally {
      if (again) this.wake()
      this.refresh()
    }
  }

  hear () {
    this.context.runInAsyncScope(this.hearAll, this)
  }

  hearAll () {
    // Not spread into a call, not shifted off: there may be one for each of a hundred thousand questions.
    this.notices = this.notices.slice(this.heard).concat(this.core.takeNotices())
    this.heard = 0
    while (this.heard < this.notices.length) this.notice(this.notices[this.heard++])
    this.notices = []
  }

  /** Holds the process while there is work under way, and only then. */
  refresh () {
    const { acks, dispatcher, core } = this
    // Asked last and each time: an event may have been stored after this turn looked for events, and before what brought
    // it told that it is over.
    const held = acks.pending > 0 || this.needed() ||
      (dispatcher.listeners.size > 0 && !dispatcher.waits && core.behind())
    if (held === this.held) return
    this.held = held
    if (held) {
      working.add(this)
      this.hold.ref()
    } else {
      working.delete(this)
      this.hold.unref()
    }
  }

  /** For good. */
  stop () {
    working.delete(this)
    clearInterval(this.hold)
  }
}

/** Made here: a timer's function made in the constructor would keep the loop alive. */
function nothing () {}

module.exports = Loop
