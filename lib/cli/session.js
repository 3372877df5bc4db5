'use strict'

const { formatWithOptions } = require('node:util')
const { EXIT, Failure } = require('./exit')
const { OPTIONS, parseSession } = require('./session-args')
const { USAGE } = require('./usage')
const { hasColours } = require('./terminal')
const { Place, lastChange } = require('./place')

/** The name under which a session's place is kept unless `--as` says otherwise. */
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
    await context.print(USAGE)
    context.warn('All there is: hypem help')
    return EXIT.FAILED
  }
  if (missing.length > 0) throw new Failure(`${missing[0]} needs a value`)
  if (file === undefined) {
    context.warn('Missing schema')
    await context.print('\n' + USAGE)
    return EXIT.FAILED
  }
  if (options.bytes && !OPTIONS.bytes.choices.includes(options.bytes)) {
    throw new Failure(`--bytes ${options.bytes}: it must be one of ${OPTIONS.bytes.choices.join(', ')}`)
  }
  for (const name of unknown) context.warn(`hypem: ${name} is unknown and ignored`)

  const schema = context.schema(file)
  const hyper = await context.open(options.db, schema, { dial: true })
  const place = new Place(hyper, options.db === undefined ? undefined : options.as ?? DEFAULT_NAME, () => context.output.flush())
  const opened = await lastChange(hyper)
  await meet(context, hyper, options)
  // 1.x's filter began to read after `listen` had announced its address; its prompt showed the announcement.
  await place.start(options['from-scratch'], options.repl ? opened : await announced(hyper, opened))

  const session = { context, hyper, schema, options, place, name: options.as ?? DEFAULT_NAME }
  return options.repl ? require('./repl').run(session) : require('./filter').run(session)
}

/** Listens and connects as asked; a prompt says so. */
async function meet (context, hyper, options) {
  const say = async (...words) => {
    if (options.repl) await context.print(formatWithOptions({ colors: hasColours(context.stdout, context.env) }, ...words) + '\n')
  }
  if (options.port !== undefined) {
    const address = await context.or(hyper.listen(options.port, options.host))
    await say('listening on', address.port, address.address)
    // Nobody can know a free port that the system chose; a filter's output is data.
    if (!options.repl && Number(options.port) === 0) context.warn(`listening on ${address.port} ${address.address}`)
  }
  if (options['target-port'] !== undefined) {
    await context.or(hyper.connect(options['target-port'], options['target-host']))
    await say('connected to', options['target-host'], Number(options['target-port']))
  }
}

/** The end of the announcement of our own address, if one was made just now. */
async function announced (hyper, since) {
  for await (const event of hyper.read({ since, names: ['EventPeer'], limit: 1 })) {
    if (event.log === hyper._hyperlog.id && event.change === since + 1) return event.change
  }
  return since
}

module.exports = { run }
