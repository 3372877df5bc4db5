'use strict'

const { failure } = require('../errors')

/** The id in progress notices about the opening of the store, which have no request. */
const OPENING = 0

/** Notices of the native half: everything that happens except acks and events. Each is passed to the part that it concerns. */
class Notices {
  /**
   * @param {object} core the native half
   * @param {import('../async-context').Context} context the context in which notices are handled, because they belong to no
   *        request
   */
  constructor (core, context) {
    this.core = core
    this.context = context
    /**
     * Notices taken from the native half, of which those before `heard` have been handled. Some remain if a user's function
     * throws.
     */
    this.taken = []
    this.heard = 0
    /** @type {Recipients} */
    this.recipients = undefined
  }

  /**
   * Set once by the wiring, because some recipients need the notices first.
   *
   * @typedef {object} Recipients
   * @property {import('../lifecycle/opening')} opening
   * @property {import('./requests')} requests
   * @property {import('../peers/connections')} connections
   * @property {import('../peers/admission')} admission
   * @property {import('../peers/streams').Streams} streams
   * @property {import('../log/conflicts')} conflicts
   * @property {import('../lifecycle/store-state')} state
   * @property {import('../status')} status
   * @param {Recipients} recipients
   */
  deliverTo (recipients) {
    this.recipients = recipients
  }

  /** Whether an earlier call of {@link hear} was interrupted. */
  get left () {
    return this.taken.length > 0
  }

  /** Takes all notices and passes them on. */
  hear () {
    this.context.runInAsyncScope(this.hearAll, this)
  }

  hearAll () {
    // No spread and no shift: there may be a hundred thousand notices.
    this.taken = this.taken.slice(this.heard).concat(this.core.takeNotices())
    this.heard = 0
    while (this.heard < this.taken.length) this.handOver(this.taken[this.heard++])
    this.taken = []
  }

  handOver (notice) {
    const { opening, requests, connections, admission, streams, conflicts, state, status } = this.recipients
    switch (notice.kind) {
      case 'ready': return opening.onReady(notice)
      case 'failed': return opening.onFailed(failure(notice))
      case 'progress': return notice.id === OPENING ? opening.onProgress(notice) : requests.progress(notice)
      case 'answer': return requests.answer(notice)
      case 'logId':
        state.logId = notice.text
        return undefined
      case 'report': return status.warn(reported(notice))
      case 'conflict': return conflicts.hear(notice)
      case 'admit': return admission.hear(notice)
      case 'stream':
      case 'streamLink': return streams.hear(notice)
      default: return connections.hear(notice)
    }
  }
}

/** The failure that a notice describes, with the peer that it is about, as `stats().peers` has its `key`. */
function reported (notice) {
  const error = failure(notice)
  return notice.text === undefined || notice.text === null ? error : Object.assign(error, { peer: notice.text })
}

module.exports = Notices
