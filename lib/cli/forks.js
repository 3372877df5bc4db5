'use strict'

const { branchOf } = require('../log/branch')
const { timeText } = require('../log/stored-time')
const { count, counted } = require('./format')

/** How many versions of forked logs are named: strangers may have forged many. */
const MAX_FORKS_NAMED = 16

/**
 * Says which logs were stuck when the emitter that uses the store last had links, and what to do about each.
 * @param {object} hyper the open emitter
 * @param {object[]} stuckBefore of its `stats()`
 * @returns {Promise<string[]>} one text for each version that peers hold
 */
async function stuckLogs (hyper, stuckBefore) {
  const texts = []
  for (const { log, since, seen, seq, behind, theirs, proven } of stuckBefore) {
    const isShown = proven || await hyper.get(theirs) !== undefined
    texts.push(`as of ${timeText(seen)}, peers hold another version of ${log} from entry ${seq} on, since ${timeText(since)}: ` +
      `${counted(behind, 'entry', 'entries')} of it ${behind === 1 ? 'is' : 'are'} not here under this id${isShown ? '' : '; a peer claims it, but has not shown it'}. ` +
      `To take that version: hypem adopt DB LOG --connect HOST:PORT --key ${theirs}`)
  }
  return texts
}

/**
 * Says which logs have forked: those of which the store holds another version as a branch.
 * @param {object} hyper the open emitter
 * @param {Array<{log: string, seq: number}>} logs all logs of the store
 * @returns {Promise<string[]>} one text for each version, and one that counts the versions that are not named
 */
async function forks (hyper, logs) {
  const lengths = new Map(logs.map(({ log, seq }) => [log, seq]))
  const versions = []
  for (const { log, seq } of logs) {
    const of = branchOf(log)
    if (of === null || !lengths.has(of.log)) continue
    const isOwn = lengths.get(of.log) >= of.seq && await holds(hyper, of)
    if (!isOwn) versions.push({ log, seq, of })
  }
  const texts = []
  for (const { log, seq, of } of versions.slice(0, MAX_FORKS_NAMED)) {
    const since = timeText(await timeOf(hyper, of.key))
    texts.push(`${of.log} has forked at entry ${of.seq}: one version, ${counted(seq, 'entry', 'entries')}${since === undefined ? '' : ` since ${since}`}, is here as ${log}; ` +
      'if peers hold another version than this store under the log\'s own id (stats().stuck), hypem adopt resolves it')
  }
  if (versions.length > MAX_FORKS_NAMED) texts.push(`there are ${count(versions.length - MAX_FORKS_NAMED)} more such versions`)
  return texts
}

/** Whether a log's entry `seq`, which is stored, is the event with this key. After `adopt` a branch may be the log's own version. */
async function holds (hyper, { log, seq, key }) {
  const node = await hyper.get(key)
  return node !== undefined && node.change === await hyper.caughtUp({ log, seq })
}

/** When the event with this key was emitted, if it says so. */
async function timeOf (hyper, key) {
  const node = await hyper.get(key)
  if (node === undefined) return undefined
  const { value } = await hyper.read({ since: node.change - 1, limit: 1, raw: true })[Symbol.asyncIterator]().next()
  return value?.time
}

module.exports = { forks, stuckLogs, MAX_FORKS_NAMED }
