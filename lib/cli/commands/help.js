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
    summary: 'a persistent, replicated EventEmitter at the prompt',
    usage: [
      'SCHEMA [--db DIR] [--port PORT] [--target-port PORT] [OPTION]...',
      'SCHEMA --no-repl [--db DIR] [OPTION]... < events.ndjson',
      'COMMAND [ARGUMENT]...'
    ],
    description: [
      'Without a command, hypem opens a session: an emitter for the messages of the schema, listening or connected to a peer if asked, with a prompt in which it is called hyper. hyper.emit(name, payload) appends an event; events of all peers are printed as they come. Top-level await works, values of expressions are printed, help shows what to type.',
      'With --no-repl it is a filter instead: lines of {"name":…,"payload":…} on standard input are emitted, events are printed as such lines. A line that is no event is reported with its number and the rest goes on; the exit code tells. An event is printed once it is on disk. Without --port and --target-port the end of input ends the session when all is stored and printed.',
      'A session with --db prints what it has not printed before: its place is kept in the store under the name given by --as.',
      'A first argument that is the name of a command is taken as such; a schema file of that name is given by --schema.'
    ],
    commands: commands.all().map(({ name, summary }) => [name, summary]),
    options: Object.fromEntries(Object.entries(OPTIONS).filter(([name]) => name !== 'help')),
    exits: [
      ['0', 'all was done'],
      ['1', 'something failed, or lines of input were refused; also hypem without arguments, as in 1.x'],
      ['2', 'a command line of a subcommand is wrong'],
      ['3', 'a check found what it looks for: damage, differing digests, a failed diagnosis'],
      ['129, 130, 143', 'ended by SIGHUP, Ctrl-C or SIGTERM; the store was closed cleanly']
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
  summary: 'explain hypem or one of its commands',
  usage: ['help [COMMAND]'],
  description: ['Shows the page of a command, or of hypem itself. The same as COMMAND --help.'],
  operands: [{ name: 'COMMAND', value: 'COMMAND', optional: true }],
  options: {},
  examples: [['About the export', 'hypem help export']],
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
