'use strict'

const { nearest } = require('../../nearest')
const { UsageFailure } = require('../exit')
const { OPTIONS } = require('../session-args')
const { page } = require('../usage')
const commands = require('../commands')

/** The session itself, as a page. */
function session () {
  return {
    name: '',
    summary: 'events that persist and replicate, on the command line',
    usage: [
      'SCHEMA [--db DIR] [--port PORT] [--target-port PORT] [OPTION]...',
      'SCHEMA --no-repl [--db DIR] [OPTION]... < events.ndjson',
      'COMMAND [ARGUMENT]...'
    ],
    description: [
      'With a schema, hypem starts an emitter for its messages, and shows a JavaScript prompt. At the prompt the emitter is called hyper: hyper.emit(name, payload) appends an event. Every event is printed when it is stored, whichever peer it comes from. Type help for more.',
      'With --no-repl there is no prompt: every line {"name":…,"payload":…} of the input is emitted, and every event is printed as such a line once it is on disk. A line that is not an event is reported with its number on standard error; the others are still emitted, and the exit code is 1. When the input ends, hypem exits once everything is stored and printed; with --port or --target-port it continues to print what peers send.',
      'With --db, events that a previous run printed are not printed again, unless --from-scratch is given.',
      'If the schema file has the name of a command, write --schema FILE.'
    ],
    commands: commands.all().map(({ name, summary }) => [name, summary]),
    options: Object.fromEntries(Object.entries(OPTIONS).filter(([name]) => name !== 'help')),
    exits: [
      ['0', 'everything was done'],
      ['1', 'something failed, or lines of input were refused; also hypem without arguments, as in 1.x'],
      ['2', 'the arguments of a command are wrong'],
      ['3', 'a check (verify, digest, schema check, doctor) found something wrong'],
      ['129, 130, 143', 'ended by SIGHUP, Ctrl-C or SIGTERM, after everything emitted was stored']
    ],
    examples: [
      ['Two shells that share events', 'hypem messages.proto --db a --port 1234'],
      ['The other one', 'hypem messages.proto --db b --target-port 1234'],
      ['All events of a peer as ndjson, then exit', 'hypem messages.proto --no-repl --from-scratch --target-port 1234 --drain < /dev/null']
    ]
  }
}

module.exports = {
  name: 'help',
  summary: 'show the page of a command',
  usage: ['help [COMMAND]'],
  description: ['Shows the page of a command; without COMMAND, that of hypem itself. The same as hypem COMMAND --help.'],
  operands: [{ name: 'COMMAND', value: 'COMMAND', optional: true }],
  options: {},
  examples: [['The options of hypem log', 'hypem help log']],
  async run (context, values, [name]) {
    const command = name === undefined ? session() : commands.find(name)
    if (!command) {
      const meant = nearest(name, commands.NAMES)
      throw new UsageFailure(`there is no command ${name}${meant ? `; did you mean ${meant}?` : ''}`)
    }
    await context.print(page(command, context.paint))
  },
  session
}
