'use strict'

const { forTerminal } = require('./escape')

/**
 * Exit codes of hypem, for scripts. docs/CLI.md has the same table.
 * @enum {number}
 */
const EXIT = Object.freeze({
  /** All was done. */
  OK: 0,
  /** Something failed, or lines of input were refused. Also the usage text of a session, as in 1.x. */
  FAILED: 1,
  /** A subcommand's command line is wrong. */
  USAGE: 2,
  /** A check found what it looks for: damage, differing digests, a failed diagnosis. */
  FOUND: 3,
  /** Ended by Ctrl-C (128 + SIGINT), the store was closed cleanly. */
  INTERRUPTED: 130,
  /** Ended by SIGTERM (128 + SIGTERM), the store was closed cleanly. */
  TERMINATED: 143,
  /** Ended by SIGHUP (128 + SIGHUP): the terminal went away, the store was closed cleanly. */
  HUNG_UP: 129
})

/** Ends a command with one line on stderr and an exit code. */
class Failure extends Error {
  /**
   * @param {string} message what was wrong, with which value, what to do
   * @param {number} [exitCode]
   */
  constructor (message, exitCode = EXIT.FAILED) {
    super(message)
    this.exitCode = exitCode
  }
}

/** A subcommand's command line is wrong: usage is shown after the message. */
class UsageFailure extends Failure {
  constructor (message) {
    super(message, EXIT.USAGE)
  }
}

/** The reader of our output went away (EPIPE): not an error for whoever prints. */
class PipeClosed extends Failure {
  constructor () {
    super('the reader of the output went away', EXIT.OK)
  }
}

/** A signal asked us to end. */
class Interrupted extends Failure {
  /** @param {'SIGINT'|'SIGTERM'|'SIGHUP'} signal */
  constructor (signal) {
    super(`ended by ${signal}`, { SIGINT: EXIT.INTERRUPTED, SIGTERM: EXIT.TERMINATED, SIGHUP: EXIT.HUNG_UP }[signal])
    this.signal = signal
  }
}

/**
 * One line about an error, as Node.js heads its stack with it (and as 1.x, which let them crash it, printed it). Messages
 * repeat what others have written: the line is escaped.
 * @param {unknown} error
 * @returns {string}
 */
function describe (error) {
  if (!(error instanceof Error)) return `Error: ${oneLine(error)}`
  const message = oneLine(error.message)
  if (error instanceof Failure) return `hypem: ${message}`
  // Node.js shows the codes of its own errors in the name; system errors carry theirs in the message.
  const code = typeof error.code === 'string' && /^ERR_/.test(error.code) ? ` [${error.code}]` : ''
  return `${error.name || 'Error'}${code}: ${message}`
}

/** Text of any origin as one line of a terminal. */
function oneLine (text) {
  return forTerminal(String(text).replace(/\s*\r?\n\s*/g, ' '))
}

module.exports = { EXIT, Failure, UsageFailure, PipeClosed, Interrupted, describe, oneLine }
