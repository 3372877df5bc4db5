'use strict'

const { badTags, tagsNotFunctions } = require('../errors')

/** Most tags of one event, and most bytes of a tag: the limits of the container (src/event/tags.rs). */
const MAX_TAGS = 16
const MAX_TAG_LENGTH = 256

/**
 * The checked tags of an event; undefined if there are none.
 *
 * @param {string} name the event's
 * @param {Iterable<string> | undefined} tags
 * @returns {string[] | undefined}
 */
function checkTags (name, tags) {
  if (tags === undefined || tags === null) return undefined
  if (typeof tags === 'string' || typeof tags[Symbol.iterator] !== 'function') throw badTags(name, 'they must be a list of strings')
  const list = Array.isArray(tags) ? tags : [...tags]
  if (list.length === 0) return undefined
  if (list.length > MAX_TAGS) throw badTags(name, `there are ${list.length}, the limit is ${MAX_TAGS}`)
  for (let i = 0; i < list.length; i++) {
    const tag = list[i]
    if (typeof tag !== 'string') throw badTags(name, `tag ${i + 1} is not a string`)
    const length = Buffer.byteLength(tag)
    if (length === 0 || length > MAX_TAG_LENGTH) throw badTags(name, `tag ${i + 1} has ${length} bytes, but must have 1 to ${MAX_TAG_LENGTH}`)
    if (!tag.isWellFormed()) throw badTags(name, `tag ${i + 1} has half a surrogate pair`)
    if (list.indexOf(tag) !== i) throw badTags(name, `tag '${tag}' is given twice`)
  }
  return list
}

/** The option `tags`: for each event name, a function from payload to tags. */
class TagRules {
  /** @param {object | undefined} rules name to function */
  constructor (rules) {
    this.rules = new Map()
    if (rules === undefined) return
    if (rules === null || typeof rules !== 'object') throw tagsNotFunctions()
    for (const [name, rule] of Object.entries(rules)) {
      if (typeof rule !== 'function') throw tagsNotFunctions()
      this.rules.set(name, rule)
    }
  }

  /**
   * The tags of an event: the given ones, otherwise those that its rule derives.
   *
   * @param {string} name
   * @param {*} payload
   * @param {Iterable<string>} [given]
   */
  of (name, payload, given) {
    if (given !== undefined) return checkTags(name, given)
    return this.rules.size === 0 ? undefined : checkTags(name, this.rules.get(name)?.(payload))
  }
}

module.exports = TagRules
