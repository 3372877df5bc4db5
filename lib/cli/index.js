'use strict'

const { EXIT, PipeClosed, UsageFailure, describe } = require('./exit')
const { Context } = require('./context')
const { page } = require('./usage')
const commands = require('./commands')
const options = require('./options')

/**
 * Runs one command line.
 * @param {string[]} args
 * @param {Context} context
 * @returns {Promise<number>} exit code
 */
async function run (args, context) {
  const name = ALIASES[args[0]] ?? args[0]
  const command = commands.find(name)
  if (!command) return require('./session').run(context, args)
  const { values, operands } = options.parse(command, args.slice(1))
  if (values.help) {
    await context.print(page(command, context.paint))
    return EXIT.OK
  }
  return await command.run(context, values, operands) ?? EXIT.OK
}

/** Options that stand for commands when they are the first argument. */
const ALIASES = { '--help': 'help', '-h': 'help', '--version': 'version', '-V': 'version', '-v': 'version' }

/**
 * The whole program: runs the command, reports errors, closes everything, exits.
 * @param {string[]} args
 * @param {NodeJS.Process} proc
 */
async function main (args, proc) {
  const context = new Context(proc)
  let code
  try {
    code = await run(args, context)
  } catch (error) {
    code = error.exitCode ?? EXIT.FAILED
    const quiet = error instanceof PipeClosed || context.signal.aborted
    if (!quiet) {
      context.warn(describe(error), 'red')
      if (error instanceof UsageFailure) context.warn(`See: hypem ${commands.NAMES.includes(args[0]) ? `${args[0]} ` : ''}--help`)
    }
    if (context.signal.aborted) code = context.signal.reason.exitCode
  }
  await context.close()
  proc.exit(code)
}

module.exports = { main, run }
