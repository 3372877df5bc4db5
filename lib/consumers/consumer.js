'use strict'

const { beyondEnd, subscriptionOver } = require('../errors')
const { quiet, rejected } = require('../callback')
const { isAt } = require('../log/portable-cursor')
const RowStream = require('../log/row-stream')
const Checkpoint = require('./checkpoint')
const Handling = require('./handling')
const Item = require('./item')
const Lanes = require('./lanes')
const { Progress } = require('./progress')
const Waiters = require('./waiters')

/** Milliseconds after which reading the log is retried. */
const READ_AGAIN = 1000

/** Takes entries from the log in order, has them handled, and records its progress. */
class Consumer {
  /**
   * @param {object} parts
   * @param {object} parts.search which entries are wanted: `filter`, `names`
   * @param {import('./options').SubscriptionOptions} parts.options
   * @param {(entry: object, attempt: import('./attempt')) => *} parts.handler
   * @param {import('./records').ConsumerRecords} parts.records
   * @param {import('../log/reader')} parts.reader
   * @param {import('../emitting/emit-path')} parts.emits
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {() => Promise<void>} parts.ready resolves when entries can be read and decoded
   * @param {(event: string, ...args: *) => void} parts.tell `parked`, `failed`, `caughtUp`
   * @param {(error: Error) => void} parts.warn
   */
  constructor ({ search, options, handler, records, reader, emits, state, ready, tell, warn }) {
    const { name, every, within } = options
    this.options = options
    this.search = search
    this.records = records
    this.reader = reader
    this.state = state
    this.isReady = ready
    this.tell = tell
    this.warn = warn
    this.checkpoint = new Checkpoint({
      write: (written, callback) => records.write(name, written, callback),
      every,
      within,
      snapshot: () => this.progress.snapshot(),
      failed: (error) => this.writeFailed(error)
    })
    this.handling = new Handling({ options, handler, emits, checkpoint: this.checkpoint, tell, warn, owner: this })
    this.lanes = new Lanes()
    /** Entries that may begin. */
    this.ready = []
    /** Entries whose events are stored, but which are not yet done in the record of the subscription. */
    this.marked = new Set()
    /** Parked entries that are being handled again, by change; undefined while one is being read. */
    this.retried = new Map()
    this.waiters = new Waiters()
    this.progress = undefined
    this.stream = undefined
    /** Whether the stream is at a row that has not been taken. */
    this.hasRow = false
    this.isPaused = false
    this.isStopping = false
    this.isPumping = false
    this.isSaving = false
    this.isAtEnd = false
    this.whenIdle = undefined
    /** Timers that limit how long it waits for running attempts. */
    this.limits = []
    this.whenStopped = undefined
    this.failure = undefined
    /** Called once if the subscription cannot continue. */
    this.onFailed = undefined
  }

  get parked () {
    return this.handling.parked
  }

  /**
   * Reads the records and begins. Rejects if it cannot.
   *
   * @param {(from: *) => Promise<number>} startOf the change after which a new subscription starts
   */
  async start (startOf) {
    await this.isReady()
    const { progress, done, parked, wanted } = await this.records.of(this.options.name)
    const isNew = progress === undefined
    const saved = progress ?? { change: await startOf(this.options.from), undone: new Map(), ahead: 0 }
    if (this.isStopping) return
    const end = this.state.lastChange()
    // It would skip all events up to that change.
    if (saved.change > end) throw beyondEnd(`the checkpoint of subscription '${this.options.name}'`, saved.change, end)
    this.marked = done
    this.handling.parked = parked
    this.handling.progress = this.progress = new Progress(saved, 2 * this.options.every, end)
    const bounds = { since: this.progress.start, live: true, atEnd: (change) => this.atEnd(change) }
    this.stream = new RowStream(this.reader.rows, end, { ...this.search, ...bounds })
    // The start of a new subscription is stored now, and not only once it has handled something.
    if (isNew) await this.saved()
    for (const change of wanted) await this.beginParked(parked.get(change))
    // While it is paused, nothing else would call it.
    this.tellWaiters()
    this.pump()
  }

  /** Resolves when everything that has happened is durable. */
  saved () {
    return new Promise((resolve, reject) => this.checkpoint.now((error) => error ? reject(error) : resolve()))
  }

  // ---- taking entries

  /** Begins as many entries as are allowed at a time. */
  pump () {
    if (this.isPumping) return
    this.isPumping = true
    try {
      while (this.step());
    } finally {
      this.isPumping = false
    }
  }

  /** Lets one more attempt begin. */
  allowOne () {
    this.handling.allowed++
    this.pump()
  }

  /** Takes or begins one entry. Returns whether there may be more to do. */
  step () {
    const { progress, ready, stream } = this
    if (stream === undefined || this.isPaused || this.isStopping) return false
    if (this.handling.running >= (progress.isCareful ? 1 : this.options.concurrency)) return false
    if (ready.length === 0) {
      if (!this.hasRow && !stream.advance()) {
        this.fetch()
        return false
      }
      this.hasRow = true
      if (progress.isFull) return false
    }
    if (this.handling.allowed <= 0) return false
    if (ready.length > 0 ? !progress.mayBegin : !progress.mayTake) {
      this.save()
      return false
    }
    if (ready.length > 0) {
      this.handling.begin(ready.shift())
    } else {
      this.hasRow = false
      this.take(stream.row)
    }
    return true
  }

  /** Stores a checkpoint, and continues once it is stored. */
  save () {
    if (this.isSaving) return
    this.isSaving = true
    this.checkpoint.now(() => {
      this.isSaving = false
      this.pump()
    })
  }

  fetch () {
    const { stream, progress } = this
    if (stream.fetching || stream.ended) return
    // Everything that was fetched is taken.
    progress.skip(stream.cursor.from)
    stream.fetch((error) => {
      if (this.isStopping) return
      if (error) return this.readFailed(error)
      this.isAtEnd = false
      this.pump()
    })
  }

  /** Handles a failed read. A store that lacks descriptors or memory may soon be readable again. */
  readFailed (error) {
    if (error.code === 'ERR_HYPER_DAMAGED') return this.fail(error)
    this.warn(error)
    this.handling.later({}, READ_AGAIN, () => this.pump())
  }

  /** Called when there is nothing more to read for now. */
  atEnd (change) {
    const { progress } = this
    progress.skip(change)
    // Progress over many entries that are not wanted is stored as well.
    if (change - progress.savedChange >= this.options.every) this.checkpoint.begin()
    this.isAtEnd = true
    this.settle()
  }

  take (row) {
    const { change } = row
    const { progress, marked } = this
    const found = progress.take(change)
    if (found === undefined) return
    if (marked.size > 0 && marked.delete(change)) {
      this.checkpoint.put(change, undefined)
      this.checkpoint.note()
      return
    }
    const item = new Item(this.reader.entryOf(row, this.options.raw), { ...found, bytes: row.end - row.start })
    if (!item.findKey(this.options)) return
    // There may have been an attempt without a record, so it is counted. If only one attempt is allowed, it is not counted.
    if (item.isSuspect && item.made === 0 && this.options.attempts > 1) item.made = 1
    progress.add(item)
    if (this.lanes.enter(item)) this.handling.begin(item)
  }

  // ---- what becomes of them

  /** The entries that are not done, and the parked ones that are being handled again. */
  * unfinished () {
    if (this.progress !== undefined) yield * this.progress.undone.values()
    for (const item of this.retried.values()) if (item !== undefined) yield item
  }

  /** Called when it is time for the next attempt at an entry. */
  again (item) {
    this.ready.push(item)
    this.pump()
  }

  /** Called when an entry is done or parked, so that the next one with its key may begin. */
  left (item) {
    if (item.wasParked) this.retried.delete(item.change)
    const next = this.lanes.leave(item)
    if (next !== undefined) this.ready.push(next)
    this.settle()
    this.pump()
  }

  /** Called when an attempt is over. */
  released () {
    this.pump()
    if (this.handling.running > 0) return
    if (this.isStopping) this.whenIdle?.()
    else this.settle()
  }

  /** Tells those who wait how far it is, and reports if nothing is left to do. */
  settle () {
    this.tellWaiters()
    const { running, parking } = this.handling
    if (!this.isAtEnd || this.progress.undone.size > 0 || running + parking > 0) return
    this.isAtEnd = false
    this.tell('caughtUp', this.progress.change)
  }

  /**
   * Resolves once everything up to a change is done or parked, and no parked entry is being handled again. Rejects when the
   * subscription stops.
   *
   * @param {Promise<number>} found the change
   */
  whenDone (found) {
    return this.isStopping ? rejected(this.over()) : quiet(this.waiters.wait(found, () => this.tellWaiters()))
  }

  /** Why nothing more happens: the error with which the subscription failed, or that it has been stopped. */
  over () {
    return this.failure ?? subscriptionOver()
  }

  tellWaiters () {
    if (this.progress === undefined || this.handling.parking > 0 || this.retried.size > 0) return
    this.waiters.reach(this.progress.done)
  }

  // ---- what users ask for

  /** Finds an entry that waits for its next attempt, including parked ones that are being handled again. */
  waitingAt (cursor) {
    for (const item of this.handling.delayed) {
      if (item.entry !== undefined && item.attempt === undefined && isAt(cursor, item.entry)) return item
    }
    return undefined
  }

  /** Starts the next attempt at a waiting entry immediately. */
  hurry (item) {
    this.handling.cancel(item)
    this.again(item)
  }

  /** Gives up such an entry. Resolves once that is durable. */
  giveUp (item) {
    this.handling.cancel(item)
    if (item.wasParked) this.drop(item.change)
    else this.progress.finish(item)
    this.left(item)
    return this.saved()
  }

  /**
   * Handles a parked entry again, beginning with a first attempt. It stays parked until it is done. Resolves once the request
   * is durable, and the entry may begin.
   */
  async handleParked (parked) {
    if (this.retried.has(parked.change)) return
    this.handling.request(parked)
    await this.saved()
    await this.beginParked(parked)
  }

  async beginParked ({ change }) {
    if (this.retried.has(change) || !this.parked.has(change)) return
    this.retried.set(change, undefined)
    try {
      for await (const entry of this.reader.read({ since: change - 1, until: change, raw: this.options.raw })) {
        const item = new Item(entry, { wasParked: true })
        item.findKey(this.options)
        this.retried.set(change, item)
        if (this.lanes.enter(item)) this.ready.push(item)
      }
    } finally {
      if (this.retried.get(change) === undefined) this.retried.delete(change)
    }
    this.pump()
  }

  /** Drops a parked entry. Resolves once that is durable. */
  dropParked ({ change }) {
    this.drop(change)
    const item = this.retried.get(change)
    const place = this.ready.indexOf(item)
    if (place !== -1) {
      this.ready.splice(place, 1)
      this.left(item)
    } else if (item !== undefined) {
      this.handling.skip(item)
    }
    return this.saved()
  }

  drop (change) {
    this.parked.delete(change)
    this.checkpoint.put(change, undefined)
  }

  // ---- ending

  writeFailed (error) {
    this.whenStopped?.()
    if (error.code !== 'ERR_HYPER_CLOSED') this.warn(error)
  }

  /** Stops the subscription because it cannot continue. */
  fail (error) {
    this.failure ??= error
    const { onFailed } = this
    this.onFailed = undefined
    onFailed?.(error)
  }

  /**
   * Begins nothing more, waits for running attempts, and stores the progress.
   *
   * @param {number} [within] longest time to wait, in milliseconds; then attempts are given up
   */
  async stop (within) {
    this.isStopping = true
    this.stream?.end()
    this.waiters.end(this.over())
    this.handling.stop()
    if (this.handling.running > 0) await this.idle(within)
    this.handling.end(this.unfinished())
    if (this.progress !== undefined) {
      this.progress.isOver = true
      // Whatever cannot be stored now is handled again at the next start.
      await Promise.race([this.saved(), new Promise((resolve) => { this.whenStopped = resolve })])
    }
    this.checkpoint.end()
  }

  /** Limits the time for which {@link stop} waits for running attempts. The shortest limit counts. */
  giveUpAfter (within) {
    if (this.whenIdle !== undefined) this.limits.push(setTimeout(this.whenIdle, within))
  }

  /** Resolves when no attempt is running, or the time for them is up. */
  async idle (within) {
    await new Promise((resolve) => {
      this.whenIdle = resolve
      if (within !== undefined) this.giveUpAfter(within)
    })
    this.whenIdle = undefined
    for (const timer of this.limits) clearTimeout(timer)
  }
}

module.exports = Consumer
