'use strict'

const { beginBatch } = require('../codec')
const { HEAD_BYTES, EVENT_BYTES, MORE_EVENTS, MORE_NOTICES } = require('../native/layout')

/**
 * Hands events to listeners: log order over all names, one window, global back-pressure.
 *
 * As in 1.x events go out in groups, alternately of 1 and of up to 15, and the next group starts when every listener of
 * every event in the current one has answered. So one unanswered `done` stops everything behind it. A lone event that is
 * answered at once is followed by the next lone one.
 */

/** Events started before the first of them is answered, in every second group. */
const GROUP = 15

/** Events handed over in one turn of the loop. */
const BUDGET = 1024

class Dispatcher {
  /**
   * @param {object} parts
   * @param {object} parts.emitter the receiver of listeners that take `done`
   * @param {import('../async-context').Context} parts.context where delivery runs before any listener has been called
   * @param {object} parts.core the native half
   * @param {import('../native/pack-buffer')} parts.slab where packs go
   * @param {import('./listeners').Listeners} parts.listeners
   * @param {() => void} parts.hear hears the notices that wait
   * @param {(name: string, bytes: Buffer, start: number, end: number, mark: number) => *} parts.decode throws if it cannot
   * @param {(error: Error) => void} parts.report hears of events that do not decode
   * @param {(reason: *, event: object) => void} parts.rejected hears of promises of listeners that reject
   * @param {(entry: object) => import('./lag')} parts.lagOf makes the lag of a listener that pauses alone
   * @param {() => void} parts.wake called when delivery can go on after having waited
   */
  constructor (parts) {
    Object.assign(this, parts)
    this.stopped = false
    this.paused = false
    /** Events cannot be decoded yet: the schema is still being read. */
    this.blocked = false
    /** The pack being handed over: its arrays (the slab may move on), where the next record and payload are. */
    this.pack = { bytes: null, words: null, doubles: null, word: 0, left: 0, payloadAt: 0 }
    /** Change of the last event handed over. */
    this.change = 0
    /** The event under way, when a listener's exception interrupted it. */
    this.current = null
    /** Events started and not answered. */
    this.open = 0
    /** Size of the group under way, and how many of it may still start. */
    this.size = 1
    this.room = 0
    /** The last group was a lone event that was not answered at once. */
    this.lag = false
    /** The listener being called. */
    this.calling = null
    /** Listeners that have paused, or catch up, each alone; and how many resumes have come since they paused. */
    this.lagging = new Set()
    this.resumes = 0
    /** The context that delivery runs in, and that of the listener called last: most likely that of the next one. */
    this.within = undefined
    this.latest = this.context
  }

  /** Whether nothing moves until somebody else does something: a listener, `resume()`. */
  get waits () {
    return this.stopped || this.paused || this.blocked || (this.open > 0 && this.room === 0)
  }

  /**
   * Hands over what there is, up to a budget. A listener that throws interrupts; the next call goes on behind it.
   *
   * @returns {boolean} whether to call again at once
   */
  pump () {
    // Entering a context costs as much as a call of a listener: a run of calls of one listener enters it once.
    this.within = this.latest
    try {
      return this.within.runInAsyncScope(this.handOver, this)
    } finally {
      this.within = undefined
    }
  }

  handOver () {
    if (this.current !== null) this.deliver(this.current)
    for (let budget = BUDGET; budget > 0; budget--) {
      if (this.stopped || this.paused || this.blocked || !this.mayStart()) return false
      if (this.pack.left === 0 || this.listeners.grown) {
        const more = this.fetch()
        if (this.pack.left === 0) {
          this.room = 0
          return (more & MORE_EVENTS) !== 0
        }
      }
      this.start()
    }
    return true
  }

  mayStart () {
    if (this.room > 0) return true
    if (this.open > 0) return false
    this.room = this.size = this.lag ? GROUP : 1
    this.lag = false
    return true
  }

  fetch () {
    const { slab, core, pack } = this
    this.listeners.grown = false
    slab.prepare()
    let more = core.takeEvents(slab.bytes, slab.base, this.change)
    const need = slab.words[(slab.base >>> 2) + 3]
    if (need > 0) {
      slab.replace(need)
      more = core.takeEvents(slab.bytes, 0, this.change)
    }
    const head = slab.base >>> 2
    pack.left = slab.words[head]
    pack.bytes = slab.bytes
    pack.words = slab.words
    pack.doubles = slab.doubles
    pack.word = (slab.base + HEAD_BYTES) >>> 2
    pack.payloadAt = slab.base + HEAD_BYTES + pack.left * EVENT_BYTES
    if (pack.left > 0) {
      const used = slab.words[head + 2]
      // Whoever decodes something between two events costs speed, nothing else: packs are never written twice.
      beginBatch(pack.bytes, slab.base + used)
      slab.advance(used)
    }
    // A link was up before its events came, and whoever asked for it shall know that first.
    if ((more & MORE_NOTICES) !== 0) this.hear()
    return more
  }

  start () {
    const { pack } = this
    const { word } = pack
    const change = pack.doubles[word >>> 1]
    const topic = this.listeners.numbered(pack.words[word + 2])
    const from = pack.payloadAt
    const to = from + pack.words[word + 3]
    pack.word += EVENT_BYTES / 4
    pack.left--
    pack.payloadAt = to
    this.change = change
    if (topic.list.length === 0) return
    let message
    try {
      message = this.decode(topic.name, pack.bytes, from, to, pack.words[word + 4])
    } catch (error) {
      this.report(error, topic.name, change)
      return
    }
    this.room--
    const { cursor } = this.listeners
    cursor.topic = topic
    cursor.index = 0
    this.current = { topic, message, change, unanswered: 1, late: false }
    this.deliver(this.current)
  }

  /** Calls the listeners of one event, from the cursor on. */
  deliver (event) {
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
      this.open++
      this.lag = this.size === 1
    }
    this.answer(event)
  }

  call (entry, event) {
    if (entry.once) this.listeners.drop(event.topic, entry)
    this.calling = entry
    try {
      if (entry.context === this.within) {
        this.invoke(entry, event)
      } else {
        this.latest = entry.context
        entry.context.runInAsyncScope(this.invoke, this, entry, event)
      }
    } finally {
      this.calling = null
    }
  }

  /** Calls one listener with a stored event that the others have heard. */
  deliverTo (entry, rows) {
    const { topic } = entry
    const { change } = rows
    let message
    try {
      message = this.decode(topic.name, rows.bytes, rows.start, rows.end, rows.encoding)
    } catch {
      // It has been told of when the others heard it.
      return
    }
    this.call(entry, { topic, message, change, unanswered: 1, late: false })
  }

  /**
   * Stops delivery: to the listener that asks for it while it is called, as `events.on` does with a high-water mark, else to
   * all. One that takes `done` holds all others back anyway.
   */
  pause () {
    const entry = this.calling
    if (entry === null || entry.wantsDone || entry.once) this.paused = true
    else if (entry.lag === undefined) this.lagging.add(this.lagOf(entry))
    else entry.lag.paused = true
  }

  /**
   * Ends the pause of all. Whose resume this is cannot be told, so listeners that have paused alone go on when each of
   * them has resumed.
   */
  resume () {
    this.paused = false
    this.resumes++
    this.release()
    this.wake()
  }

  /** Lets those go on who have paused alone, if as many resumes have come. */
  release () {
    const paused = [...this.lagging].filter((lag) => lag.paused)
    if (this.resumes < paused.length) return
    this.resumes = 0
    // Those that catch up, too: the pause of all held them.
    for (const lag of this.lagging) lag.resume()
  }

  /** Whether delivery is paused, to all or to one. */
  get isPaused () {
    return this.paused || [...this.lagging].some((lag) => lag.paused)
  }

  invoke ({ fn, wantsDone }, event) {
    let result
    if (wantsDone) {
      const done = this.expect(event)
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
      result.then(undefined, (reason) => this.rejected(reason, event))
    }
  }

  /** A `done` for one listener of an event; only its first call counts. */
  expect (event) {
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
    this.open--
    if (this.open === 0) this.wake()
  }

  /** Nothing is delivered any more. */
  stop () {
    this.stopped = true
    this.pack.left = 0
    this.current = null
  }
}

module.exports = Dispatcher
