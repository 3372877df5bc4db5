'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const options = require('../../lib/cli/options')
const { parseSession } = require('../../lib/cli/session-args')

function session (line) {
  return parseSession(line.split(' '))
}

test('the schema is the first argument or that of --schema, and the first argument takes precedence', () => {
  assert.equal(session('a.proto').schema, 'a.proto')
  assert.equal(session('--schema a.proto').schema, 'a.proto')
  assert.equal(session('a.proto --schema b.proto').schema, 'a.proto')
  assert.equal(parseSession([]).schema, undefined)
})

test('options may be written in camelCase, as in 1.x', () => {
  const { options } = session('a.proto --targetPort 5 --targetHost=h --fromScratch')
  assert.deepEqual(options, { host: 'localhost', 'target-host': 'h', 'target-port': '5', repl: true, 'from-scratch': true })
})

test('the prompt is switched off by --no-repl, --repl=false and --repl false', () => {
  for (const line of ['a --no-repl', '--no-repl a', 'a --repl=false', '--repl false a']) {
    const { schema, options } = session(line)
    assert.equal(schema, 'a', line)
    assert.equal(options.repl, false, line)
  }
  assert.equal(session('a --repl').options.repl, true)
})

test('--from-scratch before the schema does not take the schema as its value', () => {
  const { schema, options } = session('--no-repl --from-scratch a.proto')
  assert.equal(schema, 'a.proto')
  assert.equal(options['from-scratch'], true)
})

test('unknown options are ignored with their value, but not with the schema', () => {
  assert.deepEqual(session('a --what x').unknown, ['--what'])
  assert.equal(session('--what x a').schema, 'a')
  assert.equal(session('--what a').schema, 'a')
  assert.deepEqual(session('a --no-db').unknown, ['--no-db'])
})

test('an option without its value is reported', () => {
  assert.deepEqual(session('a --db').missing, ['--db'])
  assert.deepEqual(session('a --db --no-repl').missing, ['--db'])
  assert.equal(session('a --db=-x').options.db, '-x')
})

const command = {
  name: 'x',
  operands: [{ name: 'DB' }, { name: 'FILE', optional: true }],
  options: { limit: { type: 'string' }, 'target-port': { type: 'string' }, kind: { type: 'string', choices: ['a', 'b'] }, force: { type: 'boolean' } }
}

test('a subcommand refuses unknown options and wrong arguments', () => {
  assert.deepEqual(options.parse(command, ['db', '--targetPort', '7', '--force']), { values: { 'target-port': '7', force: true }, operands: ['db'] })
  for (const [args, message] of [
    [[], /DB must be given/],
    [['a', 'b', 'c'], /one argument too many: c/],
    [['a', '--what'], /there is no option --what$/],
    [['a', '--limt', '3'], /there is no option --limt; did you mean --limit\?/],
    [['a', '--limit'], /--limit needs a value/],
    [['a', '--limit', '--force'], /--limit needs a value/],
    [['a', '--force=x'], /--force takes no value/],
    [['a', '--kind', 'c'], /--kind c: it must be one of a, b/]
  ]) assert.throws(() => options.parse(command, args), { exitCode: 2, message })
})

test('help is shown whatever other arguments there are', () => {
  assert.equal(options.parse(command, ['--help']).values.help, true)
  assert.equal(options.parse(command, ['-h', '--kind', 'c']).values.help, true)
})

test('numbers, ports and times are checked with their name and value', () => {
  assert.equal(options.integer({ limit: '10' }, 'limit'), 10)
  assert.equal(options.integer({}, 'limit'), undefined)
  for (const text of ['-1', '1.5', 'x', '', '99999999999999999999']) {
    assert.throws(() => options.integer({ limit: text }, 'limit'), { exitCode: 2, message: /--limit/ })
  }
  assert.throws(() => options.port({ port: '65536' }, 'port'), /--port 65536/)
  assert.equal(options.time({ after: '2026-11-23T00:00:00Z' }, 'after'), Date.UTC(2026, 10, 23))
  assert.equal(options.time({ after: '1700000000000' }, 'after'), 1700000000000)
  assert.equal(options.time({ after: '15m' }, 'after', 1e12), 1e12 - 900000)
  assert.throws(() => options.time({ after: 'yesterday' }, 'after'), /--after yesterday/)
})
