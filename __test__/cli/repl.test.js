'use strict'

/** The prompt, in a real pseudo-terminal. */

const assert = require('node:assert/strict')
const { existsSync, readFileSync } = require('node:fs')
const { join } = require('node:path')
const nodeTest = require('node:test')
const { scratch, terminal } = require('./helpers')

/** A test that needs script(1) of util-linux. */
const test = (name, run) => nodeTest(name, { skip: process.platform !== 'linux' && 'script(1) is another elsewhere' }, run)

/** A prompt that waits for input. */
const PROMPT = /> (\x1b\[\d+G)?$/ // eslint-disable-line no-control-regex

function setUp (t, args = [], env = {}) {
  const dir = scratch(t)
  const history = join(dir, 'history')
  const run = terminal(t, [join(dir, 'messages.proto'), ...args], { env: { TERM: 'xterm', HYPEM_HISTORY: history, ...env } })
  return { dir, history, run }
}

test('the tab key completes names of events and fields', async (t) => {
  const { run } = setUp(t)
  await run.until(PROMPT)
  run.send("hyper.emit('Hel")
  await run.until("'Hel")
  run.send('\t')
  await run.until("lo'")
  run.send(', { fr')
  await run.until('{ fr')
  run.send('\t')
  await run.until('om: ')
  run.send("'tab' })\r")
  await run.until('Hello')
  await run.until(/from: .*tab/)
  run.send('hyper.verif')
  await run.until('verif')
  run.send('\t')
  await run.until('y')
  run.send('\x15.exit\r')
  assert.equal((await run.exit).code, 0)
})

test('await works at the top level, and values and errors are printed', async (t) => {
  const { run } = setUp(t)
  await run.until(PROMPT)
  run.send("const node = await hyper.append('Hello', { from: 'x' })\r")
  await run.until(/Hello .*from/)
  run.send('console.log(`change ${node.change}`)\r') // eslint-disable-line no-template-curly-in-string
  await run.until('change 1')
  run.send('6 * 7\r')
  await run.until(/\n42\r?\n/, 'shown')
  run.send('hyper\r')
  await run.until(/\nHyperEmitter \{[^]*\n\}\r?\n/, 'shown')
  run.send("await Promise.reject(new Error('of mine'))\r")
  await run.until('Uncaught Error: of mine')
  run.send("hyper.emit('Integer', {})\r")
  await run.until('Uncaught Error: value is required')
  run.send('if (true) {\r')
  await run.until(/\n(\.\.\.|\|) /, 'shown') // since Node.js 24 a bar
  run.send("console.log('many' + 'lines') }\r")
  await run.until('manylines')
  run.send('\x04')
  assert.equal((await run.exit).code, 0)
})

test('an event that arrives while the user types does not change the line', async (t) => {
  const { run } = setUp(t)
  await run.until(PROMPT)
  run.send("setTimeout(() => hyper.emit('Hello', { from: 'later' }), 300)\r")
  await run.until(PROMPT)
  run.send("console.log('un' +")
  // Since Node.js 26 what is typed is coloured.
  await run.until("\nHello { from: 'later'", 'shown')
  await run.until("> console.log('un' +", 'shown')
  run.send(" 'broken')\r")
  await run.until('unbroken')
  run.send('\x04')
  await run.exit
})

test('colours are used on a terminal, and not with NO_COLOR', async (t) => {
  const COLOUR = /\x1b\[3\dm/ // eslint-disable-line no-control-regex
  for (const [env, coloured] of [[{}, true], [{ NO_COLOR: '1' }, false], [{ TERM: 'dumb' }, false]]) {
    const { run } = setUp(t, ['--port', '0', '--host', '127.0.0.1'], env)
    await run.until('EventPeer')
    await run.until(PROMPT)
    run.send("hyper.emit('Hello', { from: 'x' })\r")
    await run.until(/Hello [^]*\n/)
    run.send('.exit\r')
    assert.equal(COLOUR.test((await run.exit).stdout), coloured, JSON.stringify(env))
  }
})

test('lines are saved for the next session, in the file that HYPEM_HISTORY names', async (t) => {
  const { dir, history, run } = setUp(t)
  await run.until(PROMPT)
  run.send("console.log('re' + 'member')\r")
  await run.until('\nremember')
  run.send('\x04')
  await run.exit
  assert.match(readFileSync(history, 'utf8'), /console\.log\('re' \+ 'member'\)/)
  const again = terminal(t, [join(dir, 'messages.proto')], { env: { TERM: 'xterm', HYPEM_HISTORY: history } })
  await again.until(PROMPT)
  again.send('\x1b[A') // up
  await again.until("'re' + 'member'", 'shown')
  again.send('\r')
  await again.until('\nremember')
  again.send('\x04')
  await again.exit
})

test('no history is saved if HYPEM_HISTORY is empty', async (t) => {
  const { dir, run } = setUp(t, [], { HYPEM_HISTORY: '', HOME: '/nonexistent' })
  await run.until(PROMPT)
  run.send('.exit\r')
  const { code, stdout } = await run.exit
  assert.equal(code, 0)
  assert.doesNotMatch(stdout, /history/i)
  assert.equal(existsSync(join(dir, 'history')), false)
})

test('Ctrl-C clears the line, a second Ctrl-C ends the session, and the store can be opened again', async (t) => {
  const { dir, run } = setUp(t, ['--db', 'DB'].map((arg) => arg === 'DB' ? join(scratch(t), 'db') : arg))
  await run.until(PROMPT)
  run.send("await hyper.append('Hello', {})\r")
  await run.until('Hello {')
  await run.until(PROMPT)
  run.send('not a line')
  await run.until('not a line')
  run.send('\x03')
  await run.until(PROMPT)
  run.send('\x03')
  await run.until('To exit, press Ctrl+C again')
  run.send('\x03')
  assert.equal((await run.exit).code, 0)
  assert.ok(dir)
})

test('a prompt continues where the previous session stopped', async (t) => {
  const dir = scratch(t)
  const args = [join(dir, 'messages.proto'), '--db', join(dir, 'db')]
  const env = { HYPEM_HISTORY: '' }
  const first = terminal(t, args, { env })
  await first.until('> ')
  first.send("hyper.emit('Hello', { from: 'one' })\r")
  await first.until('Hello {')
  first.send('.exit\r')
  await first.exit
  const second = terminal(t, args, { env })
  await second.until('> ')
  second.send("hyper.emit('Hello', { from: 'two' })\r")
  await second.until("Hello { from: 'two'")
  second.send('.exit\r')
  assert.doesNotMatch((await second.exit).stdout, /one/)
  const third = terminal(t, [...args, '--from-scratch'], { env })
  await third.until("Hello { from: 'one'")
  await third.until("Hello { from: 'two'")
  third.send('.exit\r')
  await third.exit
})

test('progress is drawn on a terminal, and removed at the end', async (t) => {
  const run = terminal(t, ['bench', '--events', '30000'])
  await run.until(/measuring \[#*-*\] +\d+% [\d,]+\/30,000 \S+\/s/)
  const { code, stdout } = await run.exit
  assert.equal(code, 0)
  assert.match(stdout, /\r\x1b\[K[^\n]*memory, 1024 in flight/) // eslint-disable-line no-control-regex
})
