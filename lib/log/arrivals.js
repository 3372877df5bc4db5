'use strict'

const { badTimeout, closed, howNotObject, notCaughtUp, optionNotBoolean } = require('../errors')
const { quiet, rejected } = require('../callback')
const checkKeys = require('../known-keys')
const { readCursor } = require('./portable-cursor')

/** The longest time that a timer of Node.js waits, in milliseconds. */
const MAX_TIMEOUT = 2 ** 31 - 1

/** Finds the events of portable cursors, and waits for them. */
class Arrivals {
  /**
   * @param {object} parts
   * @param {object} parts.core the native half
   * @param {import('../native/requests')} parts.requests
   * @param {import('../lifecycle/store-state')} parts.state
   * @param {import('../delivery/dispatcher')} parts.dispatcher
   */
  constructor ({ core, requests, state, dispatcher }) {
    this.core = core
    this.requests = requests
    this.state = state
    this.dispatcher = dispatcher
  }

  /**
   * Finds the change of an event.
   *
   * @param {import('./portable-cursor').PortableCursor} cursor
   * @param {object} how
   * @param {boolean} [how.wait] for the event to be stored
   * @param {(why: string) => Error} [how.refusal] makes the error if the event is not stored; only without `wait`
   * @param {(error: Error | null, change?: number) => void} callback
   * @returns {() => void} cancels the request: the callback is not called any more
   */
  find (cursor, { wait = false, refusal }, callback) {
    let wanted = true
    let waiting
    const answered = (error, answer) => {
      if (!wanted) return
      if (!error && answer.text !== undefined && wait) {
        waiting = this.ask(cursor, true, answered)
        return
      }
      wanted = false
      if (error) callback(error)
      else if (answer.text === undefined) callback(null, answer.number)
      else callback(refusal(lack(cursor, JSON.parse(answer.text))))
    }
    this.ask(cursor, false, answered)
    return () => {
      if (wanted && waiting !== undefined && !this.state.closing) this.core.forgetPlace(waiting)
      wanted = false
    }
  }

  /** Asks the native half for an event. A look-up keeps the process alive, waiting does not. Returns the request's id. */
  ask ({ log, seq, key }, wait, callback) {
    return this.requests.ask((id) => this.core.askPlace(id, log, seq, key, wait), callback, { hold: !wait })
  }

  /**
   * Resolves with the change of an event once it is stored, and, with `delivered`, once listeners have answered it.
   *
   * @param {string | import('./portable-cursor').PortableCursor} given
   * @param {{ timeout?: number, delivered?: boolean }} [opts] `timeout` in milliseconds
   */
  caughtUp (given, opts = {}) {
    try {
      const cursor = readCursor('caughtUp', given)
      checkOptions(opts)
      if (this.state.closing) throw closed()
      return quiet(this.wait(cursor, opts))
    } catch (error) {
      return rejected(error)
    }
  }

  async wait (cursor, { timeout = Infinity, delivered = false }) {
    let giveUp
    let timer
    try {
      return await new Promise((resolve, reject) => {
        giveUp = this.find(cursor, { wait: true }, (error, change) => {
          if (error) reject(error)
          else if (delivered) giveUp = this.dispatcher.whenDelivered(change, (error) => error ? reject(error) : resolve(change))
          else resolve(change)
        })
        if (timeout === Infinity) return
        timer = setTimeout(() => {
          giveUp()
          // An event that is stored now counts, even if the timeout is 0.
          const refusal = (why) => notCaughtUp(cursor, timeout, why)
          this.find(cursor, { refusal }, (error, change) => {
            if (error) reject(error)
            else if (delivered) reject(refusal('it is stored, but listeners have not answered yet'))
            else resolve(change)
          })
        }, timeout)
      })
    } finally {
      clearTimeout(timer)
    }
  }
}

function checkOptions (opts) {
  if (opts === null || typeof opts !== 'object') throw howNotObject('caughtUp', opts)
  checkKeys('caughtUp', opts, ['timeout', 'delivered'])
  const { timeout, delivered } = opts
  if (timeout !== undefined && timeout !== Infinity && !(typeof timeout === 'number' && timeout >= 0 && timeout <= MAX_TIMEOUT)) throw badTimeout(timeout, MAX_TIMEOUT)
  if (delivered !== undefined && typeof delivered !== 'boolean') throw optionNotBoolean('delivered', delivered)
}

/** Why an event is not stored, as far as this emitter knows. */
function lack ({ log, seq }, { end, other }) {
  if (other !== null) return `entry ${seq} of that log is another event here, because the log has forked`
  return end === 0 ? 'nothing of that log is stored here' : `that log ends here with entry ${end}`
}

module.exports = Arrivals
