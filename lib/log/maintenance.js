'use strict'

const native = require('../native/addon')
const resolveStore = require('../stores/resolve-store')
const { badAdoptedKey, badAdoptedLog, badBackupOption, badImportSource, badStorePath } = require('../errors')
const { promisedAnswer, quiet, rejected } = require('../callback')
const { knownPeers } = require('../peers/address')
const { endText } = require('../peers/link-end')

/** Work on the store as a whole: statistics, checks, imports, adoption. */
class Maintenance {
  /**
   * @param {object} core the native half
   * @param {import('../native/requests')} requests
   * @param {import('../consumers')} consumers
   * @param {import('../projections')} projections
   */
  constructor (core, requests, consumers, projections) {
    this.core = core
    this.requests = requests
    this.consumers = consumers
    this.projections = projections
  }

  /** Runtime statistics, the subscriptions and projections, and the peers that the store remembers. */
  stats () {
    const numbers = promisedAnswer(this.requests, (id) => this.core.askStats(id), numbersOf)
    const known = promisedAnswer(this.requests, (id) => this.core.askFact(id, 'peers'), rememberedPeers)
    const all = async () => {
      const found = await numbers
      const [consumers, projections] = await Promise.all([this.consumers.stats(found.change), this.projections.stats(found.change)])
      return { ...found, consumers, projections, known: await known }
    }
    return quiet(all())
  }

  /** Checks everything stored. */
  verify (opts) {
    return promisedAnswer(this.requests, (id) => this.core.askVerify(id), parseText, { progress: progressOf(opts) })
  }

  /** Copies another store into this log: a folder of this module, or a database of the caller that 1.x or this module wrote. */
  importFrom (source, opts) {
    let store
    try {
      store = resolveStore(native, source, { keepOpen: true })
      if (store.path === undefined && store.level === undefined) throw badImportSource()
    } catch (error) {
      return rejected(error)
    }
    return promisedAnswer(this.requests,
      (id) => this.core.askImport(id, store.path ?? '', store.level, opts?.identity === true),
      ({ number }) => number, { progress: progressOf(opts) })
  }

  /** Makes a backup in a folder, or brings the one in it up to date. */
  backup (folder, opts) {
    const { copy = false } = opts ?? {}
    if (!isFolder(folder)) return rejected(badStorePath(folder))
    if (typeof copy !== 'boolean') return rejected(badBackupOption(copy))
    return promisedAnswer(this.requests, (id) => this.core.askBackup(id, folder, copy), parseText, { progress: progressOf(opts) })
  }

  /** Restores a backup as a new store in a folder. It is not the store of this emitter, which only lends its threads. */
  restore (backup, folder, opts) {
    for (const path of [backup, folder]) if (!isFolder(path)) return rejected(badStorePath(path))
    return promisedAnswer(this.requests, (id) => this.core.askRestore(id, backup, folder), parseText, { progress: progressOf(opts) })
  }

  /** Replaces our version of a log by that of the peers. Resolves to the log to which ours has moved. */
  adopt (log, { key } = {}) {
    if (typeof log !== 'string' || log === '') return rejected(badAdoptedLog())
    if (key !== undefined && typeof key !== 'string') return rejected(badAdoptedKey())
    return promisedAnswer(this.requests, (id) => this.core.askAdoption(id, log, key), ({ text }) => text)
  }
}

/** The peers in the store's record; none if it is unreadable (this is reported when they are dialled). */
function rememberedPeers ({ text }) {
  try {
    return text == null ? [] : knownPeers(text).map(({ host, port }) => ({ host, port }))
  } catch {
    return []
  }
}

/** Whether this is the path of a folder, as far as that can be seen. */
function isFolder (path) {
  return typeof path === 'string' && path !== '' && !path.includes('\0')
}

function parseText ({ text }) {
  return JSON.parse(text)
}

function progressOf (opts) {
  const { onProgress } = opts ?? {}
  return typeof onProgress === 'function' ? ({ number, total }) => onProgress({ done: number, total }) : undefined
}

/** The native half's statistics, with the ends of links in words. */
function numbersOf (notice) {
  const numbers = parseText(notice)
  for (const { lastEnd } of numbers.peers) {
    if (lastEnd !== null) lastEnd.message = endText(lastEnd.reason, lastEnd.message)
  }
  return numbers
}

module.exports = Maintenance
