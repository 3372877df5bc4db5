'use strict'

const { getSystemErrorMap } = require('node:util')
const { forTerminal } = require('./escape')

/**
 * Exit codes of hypem, for scripts. docs/CLI.md has the same table.
 * @enum {number}
 */
const EXIT = Object.freeze({
  /** Everything was done. */
  OK: 0,
  /** Something failed, or lines of input were refused. Also `hypem` without arguments, as in 1.x. */
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

/** The reader of our output has gone (EPIPE). For the command that prints this is not an error. */
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

/** What hypem was doing, by the failed system call. */
const TRIED = {
  access: 'cannot reach', connect: 'cannot connect to', getaddrinfo: 'cannot find the host', listen: 'cannot listen on', bind: 'cannot listen on', mkdir: 'cannot make the folder', mkdtemp: 'cannot make a folder at', open: 'cannot open', read: 'cannot read', scandir: 'cannot read the folder', stat: 'cannot find', write: 'cannot write'
}

/** What to do about an error, beyond what its message says; by its code. */
const ADVICE = {
  ERR_HYPER_LOCKED: '; meanwhile, commands that only read it work if it is a folder of 2.x, and if that process listens, its events can be read over the network: hypem log --follow --connect HOST:PORT'
}

/**
 * An error in one line: what was wrong, what to do, its code. The line is escaped, because messages may contain foreign text.
 * @param {unknown} error
 * @returns {string}
 */
function explain (error) {
  if (!(error instanceof Error)) return oneLine(error)
  if (error instanceof Failure) return oneLine(error.message)
  const text = inWords(error) ?? (/^(Hyper)?Error$/.test(error.name) || error.code ? error.message : `${error.name}: ${error.message}`)
  const code = typeof error.code === 'string' && !text.includes(error.code) ? ` (${error.code})` : ''
  return `${oneLine(text)}${ADVICE[error.code] ?? ''}${code}`
}

/** The same as a line of output. */
function describe (error) {
  return `hypem: ${explain(error)}`
}

/**
 * Why a line of input was refused. Errors with 1.x's texts do not always name the field.
 * @param {number} number of the line
 * @param {Error & { event?: string, field?: string }} error
 * @returns {string}
 */
function refusedLine (number, { message, event, field }) {
  const place = field === undefined ? event : `${event}.${field}`
  const where = place === undefined || message.includes(place) ? '' : `${place}: `
  return `hypem: line ${number}: ${where}${message}`
}

/** An error of the system in words: `cannot open x.proto: no such file or directory`. */
function inWords ({ syscall, code, path, address, port, hostname }) {
  const words = [...getSystemErrorMap().values()].find(([name]) => name === code)?.[1]
  if (words === undefined || syscall === undefined) return undefined
  const subject = path ?? hostname ?? (address === undefined ? undefined : `${address}:${port}`)
  return `${TRIED[syscall] ?? `${syscall} failed`}${subject === undefined ? '' : ` ${subject}`}: ${words}`
}

/** Text of any origin as one line of a terminal. */
function oneLine (text) {
  return forTerminal(String(text).replace(/\s*\r?\n\s*/g, ' '))
}

module.exports = { EXIT, Failure, UsageFailure, PipeClosed, Interrupted, describe, explain, oneLine, refusedLine }
