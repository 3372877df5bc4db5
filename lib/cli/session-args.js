'use strict'

const { parseArgs } = require('node:util')
const { kebab } = require('./options')
const { TRUST } = require('./trust')

/**
 * Options of a session: those of 1.x, and our own. 1.x's help text is unchanged (usage.js); the page of `hypem help` has all
 * options.
 * @type {Record<string, import('./options').Option>}
 */
const OPTIONS = {
  schema: { type: 'string', value: 'FILE', help: 'the .proto file, if it is not the first argument' },
  port: { type: 'string', value: 'PORT', help: 'listen for peers on this port; 0 means any free port' },
  host: { type: 'string', value: 'HOST', help: 'the address to listen on; default: localhost' },
  'target-port': { type: 'string', value: 'PORT', help: 'connect to the peer that listens on this port' },
  'target-host': { type: 'string', value: 'HOST', help: 'the host of that peer; default: localhost' },
  'target-key': { type: 'string', value: 'KEY', help: 'the public key of that peer: no other peer is accepted' },
  db: { type: 'string', value: 'DIR', help: 'keep the events in this folder, which is created if it is missing; a LevelDB folder of 1.x is used as it is. Without --db they are kept in memory' },
  repl: { type: 'boolean', help: 'show a prompt (the default); --no-repl: read and write lines of JSON instead' },
  'from-scratch': { type: 'boolean', help: 'print all events, from the first one on' },
  as: { type: 'string', value: 'NAME', help: 'the name under which the store remembers what was already printed; default: hypem' },
  drain: { type: 'boolean', help: 'with --no-repl: when the input ends, wait until all peers have all events, then exit' },
  resume: { type: 'boolean', help: 'with --no-repl: continue with an input that was interrupted, without storing any line twice' },
  bytes: { type: 'string', value: 'FORM', choices: ['auto', 'base64', 'text'], help: 'how to read strings in fields of bytes: as base64, as text, or (auto, the default) as base64 if they are valid base64 and as text otherwise' },
  strict: { type: 'boolean', help: 'refuse payloads that would be stored as something else: 1.5 in an int32, misspelt fields, …' },
  ...TRUST,
  version: { type: 'boolean', short: 'V', help: 'the version' },
  help: { type: 'boolean', short: 'h', help: 'this page' }
}

/**
 * Reads a session's command line as tolerantly as 1.x did: unknown options are ignored (with the word after them,
 * unless that is the schema), `--repl=false` means `--no-repl`, camelCase is the same as kebab-case. Unlike in 1.x,
 * `--from-scratch` before the schema does not take the schema as its value.
 * @param {string[]} args
 * @returns {{schema?: string, options: Record<string, any>, unknown: string[], missing: string[]}} `unknown` were
 *   ignored, `missing` lack their value
 */
function parseSession (args) {
  const { tokens } = parseArgs({
    args: kebab(args, OPTIONS),
    options: Object.fromEntries(Object.entries(OPTIONS).map(([name, { type, short }]) => [name, { type, ...(short && { short }) }])),
    strict: false,
    allowPositionals: true,
    tokens: true
  })
  const options = { host: 'localhost', 'target-host': 'localhost', repl: true }
  const unknown = []
  const missing = []
  const positionals = []
  let swallowed
  tokens.forEach((token, at) => {
    if (token.kind === 'positional') {
      const before = tokens[at - 1]
      const follows = before?.kind === 'option' && before.index === token.index - 1 && before.value === undefined
      if (follows && unknown.includes(before.rawName)) swallowed ??= token.value
      else if (follows && takesTruth(before.name, token.value)) options[positive(before.name)] = truth(before.name, token.value)
      else positionals.push(token.value)
    } else if (token.kind === 'option') {
      const name = positive(token.name)
      const option = Object.hasOwn(OPTIONS, name) && OPTIONS[name]
      if (!option || (name !== token.name && option.type !== 'boolean')) unknown.push(token.rawName)
      else if (option.type === 'boolean') options[name] = truth(token.name, token.value)
      else if (token.value && (token.inlineValue || !token.value.startsWith('-'))) options[name] = token.value
      else missing.push(token.rawName)
    }
  })
  return { schema: positionals[0] ?? options.schema ?? swallowed, options, unknown, missing }
}

function positive (name) {
  return name.startsWith('no-') ? name.slice(3) : name
}

/** `--repl false`, as minimist read it. */
function takesTruth (name, value) {
  return OPTIONS[positive(name)]?.type === 'boolean' && (value === 'true' || value === 'false')
}

function truth (name, value) {
  return name.startsWith('no-') === (value === 'false')
}

module.exports = { OPTIONS, parseSession }
