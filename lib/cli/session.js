'use strict'

const { existsSync } = require('node:fs')
const { formatWithOptions } = require('node:util')
const { EXIT, Failure } = require('./exit')
const { OPTIONS, parseSession } = require('./session-args')
const { USAGE, page } = require('./usage')
const commands = require('./commands')
const { nearest } = require('../nearest')
const { port, unknown: unknownOption } = require('./options')
const { hasColours } = require('./terminal')
const { ReaderPosition, lastChange } = require('./reader-position')
const { followPeers, tellRefusals } = require('./trust')

/** The name under which a session's position is kept unless `--as` says otherwise. */
const DEFAULT_NAME = 'hypem'

/**
 * A session as 1.x had it: `hypem SCHEMA …`, at a prompt or as a filter.
 * @param {import('./context').Context} context
 * @param {string[]} args
 * @returns {Promise<number>} exit code
 */
async function run (context, args) {
  const { schema: file, options, unknown, missing } = parseSession(args)
  if (options.help) {
    await context.print(page(require('./commands/help').session(), context.paint))
    return EXIT.OK
  }
  if (options.version) return commands.find('version').run(context)
  for (const rawName of unknown) {
    const text = unknownOption(rawName, Object.keys(OPTIONS))
    context.warn(`hypem: ${text}${text.endsWith('?') ? ' It' : '; it'} is ignored.`)
  }
  if (missing.length > 0) throw new Failure(`${missing[0]} needs a value`)
  if (file === undefined) {
    context.warn('Missing schema')
    await context.print('\n' + USAGE)
    context.warn('All options and commands: hypem --help')
    return EXIT.FAILED
  }
  for (const [name, { choices }] of Object.entries(OPTIONS)) {
    if (choices && options[name] !== undefined && !choices.includes(options[name])) {
      throw new Failure(`--${name} ${options[name]}: it must be one of ${choices.join(', ')}`)
    }
  }
  for (const name of ['port', 'target-port']) {
    if (options[name] !== undefined) options[name] = asIn1x(() => port(options, name))
  }
  if (!existsSync(file)) throw new Failure(noSchema(file))

  const schema = context.schema(file)
  const hyper = await context.open(options.db, schema, { dial: true, strict: options.strict, trust: options })
  followPeers(context, hyper, options)
  tellRefusals(context, hyper)
  const position = new ReaderPosition(hyper, options.db === undefined ? undefined : options.as ?? DEFAULT_NAME, () => context.output.flush())
  const opened = await lastChange(hyper)
  await meet(context, hyper, options)
  // As in 1.x, a filter begins to read after `listen` has announced its address, while a prompt shows the announcement.
  await position.start(options['from-scratch'], options.repl ? opened : await announced(hyper, opened))

  const session = { context, hyper, schema, options, position, name: options.as ?? DEFAULT_NAME }
  return options.repl ? require('./repl').run(session) : require('./filter').run(session)
}

/** Runs `read`; a fault in a session's command line gets 1.x's exit code. */
function asIn1x (read) {
  try {
    return read()
  } catch (error) {
    throw new Failure(error.message)
  }
}

/** The message about a first argument that is neither a command nor a file. */
function noSchema (file) {
  if (/[./\\]/.test(file)) return `there is no schema file ${file}`
  const meant = nearest(file, commands.NAMES)
  return `${file} is neither a command nor a schema file${meant ? `; did you mean hypem ${meant}?` : '; hypem --help lists the commands'}`
}

/** Listens and connects as asked; a prompt says so. */
async function meet (context, hyper, options) {
  const say = async (...words) => {
    if (options.repl) await context.print(formatWithOptions({ colors: hasColours(context.stdout, context.env) }, ...words) + '\n')
  }
  if (options.port !== undefined) {
    const address = await context.or(hyper.listen(options.port, options.host))
    await say('listening on', address.port, address.address)
    // Only this process knows which free port the system chose. A filter's output is data, so this is printed on stderr.
    if (!options.repl && options.port === 0) context.warn(`listening on ${address.port} ${address.address}`)
  }
  if (options['target-port'] !== undefined) {
    await context.or(hyper.connect(options['target-port'], options['target-host'], { key: options['target-key'] }))
    await say('connected to', options['target-host'], options['target-port'])
  }
}

/** The change of the announcement of our own address, if it was just made. */
async function announced (hyper, since) {
  for await (const event of hyper.read({ since, names: ['EventPeer'], limit: 1 })) {
    if (event.log === hyper._hyperlog.id && event.change === since + 1) return event.change
  }
  return since
}

module.exports = { run }
