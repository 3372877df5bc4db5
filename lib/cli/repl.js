'use strict'

const { homedir } = require('node:os')
const { join } = require('node:path')
const nodeRepl = require('node:repl')
const { inspect } = require('node:util')
const { setTimeout: sleep } = require('node:timers/promises')
const { EXIT, PipeClosed } = require('./exit')
const { forTerminal, shown } = require('./escape')
const { hasColours } = require('./terminal')
const { completer } = require('./completer')
const { lastChange } = require('./reader-position')

/** How often, after the end of a script, it is checked whether its emits are stored, in milliseconds. */
const PENDING_MS = 5

/** What `help` prints at the prompt. */
const HELP = `hyper is the emitter:
  hyper.emit('Name', { field: 'value' })     append an event
  await hyper.append('Name', { … })          the same; gives the stored node
  hyper.on('Name', (payload) => { … })       hear events of this name
  await hyper.connect(1234, 'host')          replicate with a peer
  await hyper.stats()                        numbers about the store
  hyper.messages                             the messages of the schema
Events are printed as they come, and so are the values of expressions. The tab key
completes names of events and fields. Ctrl-D or .exit ends; .help lists what else
the prompt knows. All members of hyper: docs/API.md in the package.`

/**
 * A session at a prompt, with the emitter in scope as `hyper`. Values of expressions and errors are printed, and each
 * event is printed on lines of its own before a new prompt.
 * @param {{context: import('./context').Context, hyper: import('../..'), schema: import('./schema').Schema,
 *   position: import('./reader-position').ReaderPosition}} session
 * @returns {Promise<number>} exit code
 */
async function run ({ context, hyper, schema, position }) {
  const colours = hasColours(context.stdout, context.env)
  await context.output.flush()
  const terminal = Boolean(context.stdin.isTTY && context.stdout.isTTY)
  const server = nodeRepl.start({
    input: context.stdin,
    output: context.stdout,
    terminal,
    useColors: colours,
    preview: false, // it would redraw the line at every key
    ignoreUndefined: true,
    writer: (value) => shown(value, { colors: colours, ...(value === hyper && { depth: 0 }) }) // printed in full it would take pages
  })
  server.context.hyper = hyper
  server.context.help = Object.assign(() => server.context.help, { [inspect.custom]: () => HELP })
  tame(server, hyper, schema)
  if (terminal) await remember(server, context.env)

  const left = new Promise((resolve) => server.once('exit', resolve))
  const printing = print({ server, context, hyper, schema, position, colours, terminal })
  printing.catch(() => {})
  try {
    await context.or(Promise.race([left, printing]))
    if (!terminal) await context.or(Promise.race([settled(hyper, schema, position), printing]))
  } catch (error) {
    if (terminal && context.signal.aborted) context.stdout.write('\n')
    server.close()
    if (error instanceof PipeClosed) return EXIT.OK
    throw error
  } finally {
    await position.end().catch((error) => {
      if (!(error instanceof PipeClosed)) throw error
    })
  }
  return EXIT.OK
}

/** Resolves when a script's emits are stored and printed. At a terminal, `.exit` does not wait for this. */
async function settled (hyper, schema, position) {
  while ((await hyper.stats()).pending > 0) await sleep(PENDING_MS)
  await position.reached(await lastChange(hyper, printed(schema)))
}

/** What a prompt prints: events that the schema knows, and addresses of peers. */
function printed (schema) {
  return [...schema.names, 'EventPeer']
}

/**
 * Overrides parts of node:repl: the emitter, which methods return for chaining, is not printed, and names of events and fields
 * are completed before anything else.
 */
function tame (server, hyper, schema) {
  const evaluate = server.eval
  const javascript = server.completer
  const names = completer(schema)
  let completing = false
  server.eval = function (code, scope, file, callback) {
    evaluate.call(this, code, scope, file, (error, value) => {
      const chained = value === hyper && /\(/.test(code) && !completing
      callback(error, chained ? undefined : value)
    })
  }
  server.completer = function (line, callback) {
    const found = names(line)
    if (found) return callback(null, found)
    completing = true // node:repl's own, which evaluates what is before the cursor
    try {
      javascript.call(server, line, callback)
    } finally {
      completing = false
    }
  }
}

/** Keeps the lines typed for the next session: in ~/.hypem_history, or where HYPEM_HISTORY says (empty: nowhere). */
function remember (server, env) {
  const file = env.HYPEM_HISTORY ?? (env.NODE_REPL_HISTORY === '' ? '' : join(homedir(), '.hypem_history'))
  if (file === '') return
  return new Promise((resolve) => server.setupHistory(file, resolve))
}

/** Prints events as they are stored, for ever. */
async function print ({ server, context, hyper, schema, position, colours, terminal }) {
  const events = hyper.read({ since: position.change, live: true, names: printed(schema) })
  for await (const { name, payload, raw, change } of events) {
    // As in 1.x, the prompt's line is ended first on a terminal, but not through a pipe.
    const text = `${forTerminal(name)} ${shown(payload ?? raw, { colors: colours })}` + '\n'
    await context.print((terminal ? '\n' : '') + text)
    await context.output.flush()
    position.at(change)
    if (!server.closed) server.displayPrompt(true)
  }
}

module.exports = { run }
