'use strict'

const { parseArgs } = require('node:util')
const { nearest } = require('../nearest')
const { UsageFailure } = require('./exit')

/**
 * An option of a command. `type`, `multiple` and `short` are those of util.parseArgs. `value` names its value in the help text
 * (shells complete FILE, DIR and PORT accordingly), `help` describes it, and `choices` limits it.
 * @typedef {{type: 'string'|'boolean', short?: string, multiple?: boolean, value?: string, help: string,
 *   choices?: string[]}} Option
 */

const HELP = { type: 'boolean', short: 'h', help: 'this page' }

/**
 * Accepts `--target-port` and `--targetPort` alike, as 1.x's minimist did.
 * @param {string[]} args
 * @param {Record<string, Option>} options
 */
function kebab (args, options) {
  const end = args.indexOf('--')
  return args.map((arg, index) => {
    if (end !== -1 && index >= end) return arg
    const match = /^--([a-z]+(?:[A-Z][a-z]*)+)(=.*)?$/s.exec(arg)
    if (!match) return arg
    const name = match[1].replace(/[A-Z]/g, (letter) => '-' + letter.toLowerCase())
    return Object.hasOwn(options, name) ? `--${name}${match[2] || ''}` : arg
  })
}

/**
 * Parses a subcommand's command line strictly.
 * @param {{name: string, options: Record<string, Option>, operands: Array<{name: string, optional?: boolean,
 *   many?: boolean}>}} command
 * @param {string[]} args
 * @returns {{values: Record<string, any>, operands: string[]}}
 */
function parse (command, args) {
  const options = { ...command.options, help: HELP }
  const { tokens } = parseArgs({
    args: kebab(args, options),
    options: Object.fromEntries(Object.entries(options).map(([name, { type, short }]) => [name, { type, ...(short && { short }) }])),
    strict: false, // the messages of parseArgs are meant for programmers
    allowPositionals: true,
    tokens: true
  })
  const positionals = tokens.filter(({ kind }) => kind === 'positional').map(({ value }) => value)
  const values = {}
  if (tokens.some(({ kind, name }) => kind === 'option' && name === 'help')) return { values: { help: true }, operands: positionals }
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined
    if (!option) throw new UsageFailure(unknown(token.rawName, Object.keys(options)))
    const value = valueOf(token, option)
    if (option.multiple) (values[token.name] ??= []).push(value)
    else values[token.name] = value
  }
  for (const [name, value] of Object.entries(values)) {
    const { choices } = options[name]
    if (choices && !choices.includes(value)) {
      throw new UsageFailure(`--${name} ${value}: it must be one of ${choices.join(', ')}`)
    }
  }
  const needed = command.operands.filter((operand) => !operand.optional)
  if (positionals.length < needed.length) {
    throw new UsageFailure(`${needed[positionals.length].name} must be given`)
  }
  if (positionals.length > command.operands.length && !command.operands.some((operand) => operand.many)) {
    throw new UsageFailure(`one argument too many: ${positionals[command.operands.length]}`)
  }
  return { values, operands: positionals }
}

/** The message about an unknown option. */
function unknown (rawName, names) {
  const meant = nearest(rawName.replace(/^-+/, ''), names)
  return `there is no option ${rawName}${meant ? `; did you mean --${meant}?` : ''}`
}

/** The value of an option in the arguments. */
function valueOf ({ rawName, value, inlineValue }, { type, value: placeholder, choices }) {
  if (type === 'boolean') {
    if (inlineValue) throw new UsageFailure(`${rawName} takes no value`)
    return true
  }
  if (value === undefined || (!inlineValue && value.startsWith('-') && value !== '-')) {
    throw new UsageFailure(`${rawName} needs a value: ${rawName} ${choices ? choices.join('|') : placeholder}`)
  }
  return value
}

/**
 * A number given as text.
 * @param {Record<string, string>} values
 * @param {string} name of the option
 * @param {number} min
 * @param {number} max
 * @returns {number|undefined}
 */
function integer (values, name, min = 0, max = Number.MAX_SAFE_INTEGER) {
  const text = values[name]
  if (text === undefined) return undefined
  const number = /^\d+$/.test(text) ? Number(text) : NaN
  if (!(number >= min && number <= max)) {
    throw new UsageFailure(`--${name} ${text}: it must be a whole number from ${min} to ${max}`)
  }
  return number
}

/** @param {Record<string, string>} values */
function port (values, name) {
  return integer(values, name, 0, 65535)
}

/**
 * A point in time: an ISO date, milliseconds since 1970, or how long ago (`90s`, `15m`, `2h`, `7d`).
 * @param {Record<string, string>} values
 * @param {string} name of the option
 * @param {number} now milliseconds since 1970
 * @returns {number|undefined} milliseconds since 1970
 */
function time (values, name, now = Date.now()) {
  const text = values[name]
  if (text === undefined) return undefined
  const ago = /^(\d+(?:\.\d+)?)(s|m|h|d)$/.exec(text)
  if (ago) return now - Number(ago[1]) * { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 }[ago[2]]
  const at = /^\d{10,}$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isNaN(at)) {
    throw new UsageFailure(`--${name} ${text}: it must be a date (2026-11-23T10:00:00Z), milliseconds, or how long ago (15m, 2h, 7d)`)
  }
  return at
}

module.exports = { HELP, kebab, parse, unknown, integer, port, time }
