'use strict'

const { toLine } = require('./json')

/**
 * Finds out which lines of an input have already been stored by an earlier run that was cut off.
 *
 * The store keeps the change at which the input was begun. The events after it in the store's own log are compared with the
 * lines, in order. Lines are stored in order, so the first line that is neither found nor refused is where to continue. Events
 * in between that do not come from lines, such as those that a listener emitted, are skipped.
 */
class Resume {
  /**
   * @param {import('../..')} hyper
   * @param {number} since the change at which the input was begun
   */
  constructor (hyper, since) {
    this._hyper = hyper
    this._log = hyper._hyperlog.id
    this._since = since
    this._events = null
    /** Whether the line at which to continue has not been found yet. */
    this.searching = true
  }

  /**
   * Whether an event is stored after the one that was found last.
   * @param {{name: string, payload: any, tags?: string[]}} event
   * @returns {Promise<boolean>}
   */
  async has (event) {
    const line = this._asStored(event)
    if (line === undefined) return false
    this._events ??= this._hyper.read({ since: this._since })
    for (;;) {
      const { done, value } = await this._events.next()
      if (done) break
      if (value.log !== this._log || toLine(value) !== line) continue
      this._since = value.change
      return true
    }
    this._events = null // to be read again from the event found last
    return false
  }

  /** The line as it is printed once stored; undefined if the event cannot be encoded. */
  _asStored ({ name, payload, tags: given }) {
    const tags = given?.length > 0 ? given : undefined
    try {
      const codecs = this._hyper.codecs
      const codec = Object.hasOwn(codecs, name) ? codecs[name] : undefined
      if (!codec) return toLine({ name, raw: Buffer.from(payload), tags })
      return toLine({ name, payload: codec.decode(Buffer.from(codec.encode(payload))), tags })
    } catch {
      return undefined
    }
  }
}

/** The name of the position at which an input was begun. */
function record (as) {
  return `${as}:input`
}

/**
 * To be called before the first line is emitted.
 * @param {import('../..')} hyper
 * @param {string} as name of the input
 * @param {boolean} resume whether to continue the input that was begun last; otherwise a new input begins
 * @returns {Promise<Resume|undefined>}
 */
async function beginInput (hyper, as, resume) {
  const begun = resume ? await hyper.position(record(as)) : undefined
  if (begun !== undefined) return new Resume(hyper, begun)
  await hyper.position(record(as), (await hyper.stats()).change)
}

module.exports = { Resume, beginInput }
