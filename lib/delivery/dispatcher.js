'use strict'

const { beginBatch } = require('../codec')
const { closed, undecodable } = require('../errors')
const {
  HEAD_BYTES, COUNT_WORD, USED_WORD, NEED_WORD, EVENT_BYTES, EVENT_CHANGE_DOUBLE, EVENT_LISTENERS_WORD,
  EVENT_PAYLOAD_LENGTH_WORD, EVENT_ENCODING_WORD, MORE_EVENTS, MORE_NOTICES
} = require('../native/layout')
const PausedListener = require('./paused-listener')

/** The larger of the two sizes of a window: events that may be under way before the first of them is answered. */
const WINDOW = 15

/** Most events handed over in one turn of the pump. */
const BUDGET = 1024

/**
 * Hands events to listeners: in log order over all names, with back-pressure over all listeners.
 *
 * As in 1.x, events are delivered in windows of alternately 1 and up to 15 events. The next window opens when all listeners
 * have answered all events of the current one. So one unanswered `done` stops all later events. If a window of one event is
 * answered immediately, the next window also has one event.
 */
class Dispatcher {
  /**
   * @param {object} parts
   * @param {object} parts.emitter the receiver of listeners that take `done`
   * @param {import('../async-context').Context} parts.context the context of delivery before any listener has been called
   * @param {object} parts.core the native half
   * @param {import('../native/pack-buffer')} parts.packBuffer
   * @param {import('../native/notices')} parts.notices
   * @param {import('../native/turn-scheduler')} parts.scheduler
   * @param {import('./listeners').Listeners} parts.listeners
   * @param {import('./rejections')} parts.rejections
   * @param {import('../emitting/event-codecs')} parts.codecs
   * @param {import('../log/row-source')} parts.rows the source from which listeners that have paused alone catch up
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../status')} parts.status
   */
  constructor ({ emitter, context, core, packBuffer, notices, scheduler, listeners, rejections, codecs, rows, state, status }) {
    this.emitter = emitter
    this.core = core
    this.packBuffer = packBuffer
    this.notices = notices
    this.scheduler = scheduler
    this.listeners = listeners
    this.rejections = rejections
    this.codecs = codecs
    this.rows = rows
    this.state = state
    this.status = status
    this.stopped = false
    this.paused = false
    /** Whether events cannot be decoded yet, because the schema is still being read. */
    this.blocked = false
    /**
     * The pack that is being handed over: its arrays, because the pack buffer may have moved on, and the positions of the next
     * record and payload.
     */
    this.pack = { bytes: null, words: null, doubles: null, word: 0, left: 0, payloadAt: 0 }
    /** Change of the last event handed over. */
    this.change = 0
    /** The event whose delivery was interrupted by a listener's exception. */
    this.current = null
    /** Events that were handed over and not answered yet. */
    this.unanswered = 0
    /** Size of the current window, and how many events may still be handed over in it. */
    this.windowSize = 1
    this.windowLeft = 0
    /** Whether the last window was a single event that was not answered immediately. */
    this.answeredLate = false
    /** Callbacks that wait until listeners have answered a change. */
    this.waiters = new Set()
    /** The listener being called. */
    this.calling = null
    /** Listeners that have paused alone or are catching up, and how many resumes have come since they paused. */
    this.pausedListeners = new Set()
    this.resumes = 0
    /** The context in which delivery runs, and the context of the last listener, which most likely is that of the next one. */
    this.within = undefined
    this.latestContext = context
  }

  /** Whether delivery has to wait for a listener's answer or for `resume()`. */
  get waits () {
    return this.stopped || this.paused || this.blocked || (this.unanswered > 0 && this.windowLeft === 0)
  }

  /** Whether stored events still have to be handed over. */
  get busy () {
    return this.listeners.size > 0 && !this.waits && this.core.behind()
  }

  /**
   * Hands over events, up to a budget. If a listener throws, the next call continues after it.
   *
   * @returns {boolean} whether to call again immediately
   */
  deliver () {
    // Entering a context costs as much as calling a listener, so it is entered once for a run of calls of one listener.
    this.within = this.latestContext
    try {
      return this.within.runInAsyncScope(this.deliverWithin, this)
    } finally {
      this.within = undefined
    }
  }

  deliverWithin () {
    if (this.current !== null) this.callListeners(this.current)
    this.tellDelivered(this.change)
    for (let budget = BUDGET; budget > 0; budget--) {
      if (this.stopped || this.paused || this.blocked || !this.openWindow()) return false
      if (this.pack.left === 0 || this.listeners.grown) {
        const more = this.fetch()
        if (this.pack.left === 0) {
          this.windowLeft = 0
          if (this.waiters.size > 0) this.tellDelivered(this.core.delivered(this.change))
          return (more & MORE_EVENTS) !== 0
        }
      }
      this.deliverNext()
    }
    return true
  }

  /** Opens the next window when the current one is used up. Returns whether an event may be handed over. */
  openWindow () {
    if (this.windowLeft > 0) return true
    if (this.unanswered > 0) return false
    this.windowLeft = this.windowSize = this.answeredLate ? WINDOW : 1
    this.answeredLate = false
    return true
  }

  /** Takes the next pack of events from the native half. Returns what else waits there. */
  fetch () {
    const { packBuffer, core, pack } = this
    this.listeners.grown = false
    packBuffer.prepare()
    let more = core.takeEvents(packBuffer.bytes, packBuffer.base, this.change)
    const need = packBuffer.words[(packBuffer.base >>> 2) + NEED_WORD]
    if (need > 0) {
      packBuffer.replace(need)
      more = core.takeEvents(packBuffer.bytes, 0, this.change)
    }
    const head = packBuffer.base >>> 2
    pack.left = packBuffer.words[head + COUNT_WORD]
    pack.bytes = packBuffer.bytes
    pack.words = packBuffer.words
    pack.doubles = packBuffer.doubles
    pack.word = (packBuffer.base + HEAD_BYTES) >>> 2
    pack.payloadAt = packBuffer.base + HEAD_BYTES + pack.left * EVENT_BYTES
    if (pack.left > 0) {
      const used = packBuffer.words[head + USED_WORD]
      // If other code decodes something between two events, that only costs speed, because packs are never overwritten.
      beginBatch(pack.bytes, packBuffer.base + used)
      packBuffer.advance(used)
    }
    // A link was established before its events came, so whoever asked for it is told first.
    if ((more & MORE_NOTICES) !== 0) this.notices.hear()
    return more
  }

  /** Decodes the next event of the pack and calls its listeners. */
  deliverNext () {
    const { pack } = this
    const { word } = pack
    const change = pack.doubles[(word >>> 1) + EVENT_CHANGE_DOUBLE]
    const topic = this.listeners.numbered(pack.words[word + EVENT_LISTENERS_WORD])
    const from = pack.payloadAt
    const to = from + pack.words[word + EVENT_PAYLOAD_LENGTH_WORD]
    pack.word += EVENT_BYTES / 4
    pack.left--
    pack.payloadAt = to
    this.change = change
    if (topic.list.length === 0) return
    let message
    try {
      message = this.codecs.decode(topic.name, pack.bytes, from, to, pack.words[word + EVENT_ENCODING_WORD], change)
    } catch (error) {
      this.status.warn(undecodable(error, topic.name, change))
      return
    }
    this.windowLeft--
    const { cursor } = this.listeners
    cursor.topic = topic
    cursor.index = 0
    this.current = { topic, message, change, unanswered: 1, late: false }
    this.callListeners(this.current)
  }

  /** Calls the listeners of one event, from the cursor on. */
  callListeners (event) {
    const { cursor } = this.listeners
    const { list } = event.topic
    while (cursor.index < list.length) {
      const entry = list[cursor.index++]
      if (entry.since <= event.change) this.call(entry, event)
    }
    this.current = null
    cursor.topic = null
    if (event.unanswered > 1) {
      event.late = true
      this.unanswered++
      this.answeredLate = this.windowSize === 1
    }
    this.answer(event)
  }

  /** Calls one listener in its own async context. */
  call (entry, event) {
    if (entry.once) this.listeners.drop(event.topic, entry)
    this.calling = entry
    try {
      if (entry.context === this.within) {
        this.invoke(entry, event)
      } else {
        this.latestContext = entry.context
        entry.context.runInAsyncScope(this.invoke, this, entry, event)
      }
    } finally {
      this.calling = null
    }
  }

  /** Calls a listener that has paused alone with an event that the others have already heard. */
  callWithRow (entry, row) {
    const { topic } = entry
    const { change } = row
    let message
    try {
      message = this.codecs.decode(topic.name, row.bytes, row.start, row.end, row.encoding, change)
    } catch {
      // A warning was given when the others heard it.
      return
    }
    this.call(entry, { topic, message, change, unanswered: 1, late: false })
  }

  invoke ({ fn, wantsDone }, event) {
    let result
    if (wantsDone) {
      const done = this.expectAnswer(event)
      try {
        result = fn.call(this.emitter, event.message, done)
      } catch (error) {
        done()
        throw error
      }
    } else {
      result = fn(event.message)
    }
    if (typeof result === 'object' && result !== null && typeof result.then === 'function') {
      result.then(undefined, (reason) => this.rejections.raise(reason, event.topic.name, event.message))
    }
  }

  /** A `done` for one listener of an event; only its first call counts. */
  expectAnswer (event) {
    event.unanswered++
    let answered = false
    return () => {
      if (answered) return
      answered = true
      this.answer(event)
    }
  }

  answer (event) {
    if (--event.unanswered > 0 || !event.late) return
    this.unanswered--
    if (this.unanswered === 0) this.scheduler.schedule()
  }

  /**
   * Stops delivery. If a listener asks for it while it is called, as `events.on` does with a high-water mark, only that
   * listener is paused; otherwise all are. (A listener with `done` holds back all others anyway.)
   */
  pause () {
    const entry = this.calling
    if (entry === null || entry.wantsDone || entry.once) {
      this.paused = true
    } else if (entry.paused === undefined) {
      const { rows, state, status, change } = this
      this.pausedListeners.add(new PausedListener({ entry, after: change, dispatcher: this, rows, state, status }))
    } else {
      entry.paused.pause()
    }
  }

  /**
   * Ends the pause of all listeners. It is unknown which listener resumes, so those that have paused alone continue when there
   * have been as many resumes.
   */
  resume () {
    this.paused = false
    this.resumes++
    this.resumeListeners()
    this.scheduler.schedule()
  }

  /** Lets listeners that have paused alone continue, if there have been as many resumes. */
  resumeListeners () {
    const paused = [...this.pausedListeners].filter((each) => each.paused)
    if (this.resumes < paused.length) return
    this.resumes = 0
    // Also those that are catching up, because the pause of all had stopped them.
    for (const each of this.pausedListeners) each.resume()
  }

  /** Forgets a listener that has caught up with the others, or was removed. */
  forgetPaused (pausedListener) {
    this.pausedListeners.delete(pausedListener)
  }

  /** Whether delivery is paused, to all listeners or to one. */
  get isPaused () {
    return this.paused || [...this.pausedListeners].some((each) => each.paused)
  }

  /**
   * Calls back once listeners have answered all events up to a change; listeners that have paused alone do not count.
   *
   * @param {number} change of a stored event
   * @param {(error: Error | null) => void} callback gets an error when the emitter closes
   * @returns {() => void} cancels the wait
   */
  whenDelivered (change, callback) {
    const waiter = { change, callback }
    this.waiters.add(waiter)
    if (this.stopped) process.nextTick(() => this.refuseWaiters())
    else this.scheduler.schedule()
    return () => this.waiters.delete(waiter)
  }

  /** Calls back those who wait for a change up to this one, which has been delivered. */
  tellDelivered (change) {
    if (this.waiters.size === 0 || this.unanswered > 0) return
    for (const waiter of this.waiters) {
      if (waiter.change > change) continue
      this.waiters.delete(waiter)
      waiter.callback(null)
    }
  }

  refuseWaiters () {
    for (const { callback } of this.waiters) callback(closed())
    this.waiters.clear()
  }

  /** Stops delivery for good. */
  stop () {
    this.stopped = true
    this.pack.left = 0
    this.current = null
    this.refuseWaiters()
  }
}

module.exports = Dispatcher
