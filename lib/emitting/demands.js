'use strict'

const { badDemand, emitOptionsNotObject } = require('../errors')
const checkKeys = require('../known-keys')
const { conditionOf } = require('../log/query')

/** Most bytes of the id of an append: the core's limit (src/event/request.rs). */
const MAX_ID_LENGTH = 256

/** Keys of the options of `append` for a list of events, and for one event. */
const LIST_KEYS = ['id', 'failIf']
const EVENT_KEYS = ['tags', ...LIST_KEYS]

/**
 * Conditions of an append.
 *
 * @typedef {object} Demands
 * @property {string} [id] a second append with the same id is taken for a repetition
 * @property {object} [filter] events of which none may have been stored
 * @property {number} [after] after this change
 * @property {import('../log/portable-cursor').PortableCursor} [cursor] after the change of this event, in place of `after`
 * @property {string} [consumer] the subscription whose records are stored in the same commit
 * @property {{ change: number, text?: string }[]} [kept] those records; without a text they are deleted
 *
 * @param {{ id?: string, failIf?: object }} [options]
 * @returns {Demands | undefined}
 */
function demandsOf (options) {
  if (options === undefined) return undefined
  const { id, failIf } = options
  if (id !== undefined) checkId(id)
  if (failIf === undefined) return { id }
  const { filter, after, cursor } = conditionOf(failIf)
  return { id, filter, after, cursor }
}

/** Checks the keys of the options of `append`. `emit`, like 1.x, ignores those that it does not know. */
function checkAppendOptions (options, isList) {
  if (options === undefined) return
  if (options === null || typeof options !== 'object') throw emitOptionsNotObject(options)
  if (isList) checkKeys('append of a list', options, LIST_KEYS)
  else checkKeys('append', options, EVENT_KEYS)
}

function checkId (id) {
  if (typeof id !== 'string' || !id.isWellFormed()) throw badDemand('id', 'it must be a string, without half a surrogate pair')
  const length = Buffer.byteLength(id)
  if (length === 0 || length > MAX_ID_LENGTH) throw badDemand('id', `it has ${length} bytes, but must have 1 to ${MAX_ID_LENGTH}`)
}

/** Whether there are demands. Then the append is sent as a batch. */
function isDemanding (options) {
  return options !== undefined && (options.id !== undefined || options.failIf !== undefined)
}

module.exports = { checkAppendOptions, demandsOf, isDemanding }
