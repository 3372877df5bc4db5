'use strict'

const { badBatch } = require('../errors')

/** Most events of a batch: the core's limit (src/event/batch.rs), checked before any of them is encoded. */
const MAX_BATCH_EVENTS = 1024

/** The events of one `append`, encoded: they are stored together or not at all. */
class Batch {
  constructor () {
    /** Names, each once; an event has an index into this list. */
    this.names = []
    this.events = []
    this.latest = undefined
    this.place = -1
  }

  /**
   * @param {string} name checked
   * @param {Uint8Array} bytes the payload
   * @param {number} mark how it is encoded
   * @param {string[]} [tags] checked
   */
  add (name, bytes, mark, tags) {
    // Events come in runs of one name.
    if (name !== this.latest) {
      this.latest = name
      this.place = this.names.indexOf(name)
      if (this.place < 0) this.place = this.names.push(name) - 1
    }
    this.events.push({ place: this.place, bytes, mark, tags })
  }

  /** A batch that stays the same if the caller changes payloads and tags. */
  copy () {
    const copy = new Batch()
    copy.join(this)
    return copy
  }

  /** Adds the events of another batch. Payloads and tags are copied, because the caller may change them later. */
  join ({ names, events }) {
    for (const { place, bytes, mark, tags } of events) this.add(names[place], Buffer.from(bytes), mark, tags && [...tags])
  }
}

/** Gathers the answers to the events of a batch, and passes on all nodes together. */
class Gathered {
  /**
   * @param {number} left answers to come
   * @param {{ answer: (error: Error | null, nodes?: object[]) => void }} receiver
   */
  constructor (left, receiver) {
    this.left = left
    this.receiver = receiver
    this.nodes = []
  }

  answer (error, node) {
    this.left--
    // If one fails, all of them fail, for the same reason.
    if (!error) this.nodes.push(node)
    if (this.left > 0) return
    if (error) this.receiver.answer(error)
    else this.receiver.answer(null, this.nodes)
  }
}

/**
 * Checks the list given to `append`; it is copied, because it may wait for the schema.
 *
 * @param {object[]} events
 * @param {number} [before] how many events are in the same batch already
 */
function checkEvents (events, before = 0) {
  if (events.length === 0) throw badBatch('the list of events is empty')
  const total = before + events.length
  if (total > MAX_BATCH_EVENTS) throw badBatch(`the list has ${total} events, the limit is ${MAX_BATCH_EVENTS}`)
  return events.map((event, index) => {
    if (event === null || typeof event !== 'object') throw badBatch(`event ${index + 1} of the list is not an object with name and payload`)
    return { name: event.name, payload: event.payload, tags: event.tags }
  })
}

module.exports = { Batch, Gathered, checkEvents }
