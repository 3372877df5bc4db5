'use strict'

const { Context } = require('../async-context')
const { listenerNotFunction, neverListened, symbolName } = require('../errors')

/** Topics without listeners that are remembered. Removing a listener throws 1.x's TypeError only if the name never had one. */
const MAX_EMPTY = 1024

/** Stands for an unknown topic. */
const NONE = { name: '', number: 0, list: [] }

/**
 * @typedef {object} Entry
 * @property {Function} fn as the user gave it
 * @property {boolean} once whether it hears only one event
 * @property {Function} [wrapper] how `rawListeners` shows it, if it is `once`
 * @property {boolean} wantsDone whether it takes `(message, done)`
 * @property {number} since the first change that it hears
 * @property {object} topic the event name it is registered for
 * @property {import('./paused-listener')} [paused] set while it has paused alone or is catching up
 * @property {Context} context in which it was registered, and runs
 */

/**
 * The listeners of all event names.
 *
 * The list of a topic may change while its event is being delivered. `cursor` is the position of delivery in the list and is
 * adjusted, so that no listener is skipped or called twice. As in 1.x, a listener that is added during delivery hears the
 * current event.
 */
class Listeners {
  /** @param {object} core the native half: packs only events that have listeners */
  constructor (core) {
    this.core = core
    this.topics = new Map()
    this.byNumber = new Map()
    this.numbers = 0
    /** Topics with listeners. */
    this.size = 0
    /** Whether a topic has got its first listener since this was last cleared. */
    this.grown = false
    this.cursor = { topic: null, index: 0 }
    this.latest = NONE
    /** Called when a topic gets its first listener, or loses its last one. */
    this.onChange = undefined
  }

  /**
   * @param {string} name
   * @param {Function} fn
   * @param {{ once?: boolean, first?: boolean, since?: number }} how
   */
  add (name, fn, { once = false, first = false, since = 0 } = {}) {
    if (typeof fn !== 'function') throw listenerNotFunction(fn)
    const topic = this.topics.get(name) ?? this.create(name)
    const entry = { fn, once, wantsDone: fn.length >= 2, since, context: new Context(), wrapper: undefined, paused: undefined, topic }
    if (first) {
      topic.list.unshift(entry)
      if (this.cursor.topic === topic) this.cursor.index++
    } else {
      topic.list.push(entry)
    }
    if (topic.list.length === 1) {
      this.size++
      this.grown = true
      this.core.setInterest(name, topic.number)
      this.onChange?.()
    }
  }

  create (name) {
    if (this.topics.size - this.size >= MAX_EMPTY) this.forgetEmpty()
    const topic = { name, number: ++this.numbers, list: [] }
    this.topics.set(name, topic)
    this.byNumber.set(topic.number, topic)
    return topic
  }

  /** The topic of a number; an empty one if it has been forgotten. */
  numbered (number) {
    // Events come in runs of one name. A topic that was forgotten in the meantime has no listeners, and its number is never
    // reused.
    if (this.latest.number !== number) this.latest = this.byNumber.get(number) ?? NONE
    return this.latest
  }

  forgetEmpty () {
    for (const topic of this.topics.values()) {
      if (topic.list.length > 0 || topic === this.cursor.topic) continue
      this.topics.delete(topic.name)
      this.byNumber.delete(topic.number)
    }
  }

  /** Removes the first registration of `fn`, if there is one. Throws 1.x's TypeErrors. */
  remove (name, fn) {
    if (fn === undefined || fn === null) throw listenerNotFunction(fn)
    const topic = this.topics.get(name)
    if (topic === undefined) throw neverListened(name)
    const index = topic.list.findIndex((entry) => entry.fn === fn || entry.wrapper === fn)
    if (index >= 0) this.removeAt(topic, index)
  }

  /** Removes this registration. */
  drop (topic, entry) {
    const index = topic.list.indexOf(entry)
    if (index >= 0) this.removeAt(topic, index)
  }

  removeAt (topic, index) {
    const [{ paused }] = topic.list.splice(index, 1)
    paused?.leave()
    if (this.cursor.topic === topic && index < this.cursor.index) this.cursor.index--
    if (topic.list.length === 0) {
      this.size--
      this.core.setInterest(topic.name)
      this.onChange?.()
    }
  }

  /** Removes all listeners of one name, or all listeners. */
  removeAll (name) {
    const topics = name === undefined ? this.topics.values() : [this.topics.get(name)]
    for (const topic of topics) {
      for (let left = topic?.list.length ?? 0; left > 0; left--) this.removeAt(topic, left - 1)
    }
  }

  /** The functions listening to a name, in order. */
  of (name) {
    return (this.topics.get(name)?.list ?? []).map((entry) => entry.fn)
  }

  /** Like {@link of}, with wrappers like those of Node's `once` in place of listeners that hear only one event. */
  rawOf (name) {
    const topic = this.topics.get(name)
    return (topic?.list ?? []).map((entry) => entry.once ? (entry.wrapper ??= this.wrapperOf(topic, entry)) : entry.fn)
  }

  wrapperOf (topic, entry) {
    const wrapper = (...args) => {
      this.drop(topic, entry)
      return entry.fn(...args)
    }
    return Object.assign(wrapper, { listener: entry.fn })
  }

  /** Names with listeners. */
  names () {
    return [...this.topics.values()].filter((topic) => topic.list.length > 0).map((topic) => topic.name)
  }
}

/** An event name for listening. Anything that is not text is converted. */
function topicName (name) {
  if (typeof name === 'symbol') throw symbolName(name)
  return String(name)
}

module.exports = { Listeners, topicName }
