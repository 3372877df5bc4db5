'use strict'

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { closeSync, openSync, writeFileSync } = require('node:fs')
const net = require('node:net')
const { join } = require('node:path')
const { test } = require('node:test')
const HyperEmitter = require('../..')
const { hello, hypem, listening, scratch, start } = require('./helpers')

/** A folder for the test: its path, the schema in it, and the path for `--db`. */
function setUp (t) {
  const dir = scratch(t)
  return { dir, schema: join(dir, 'messages.proto'), db: join(dir, 'db') }
}

/** Only the lines of Hello: when the address of a peer is printed among them depends on the network. */
function hellos (text) {
  return text.split('\n').filter((line) => line.includes('"Hello"')).join('\n') + '\n'
}

async function stored (path) {
  const hyper = new HyperEmitter(path, null)
  const names = []
  for await (const { name } of hyper.read()) names.push(name)
  await hyper.close()
  return names
}

test("the original's README: two shells with synced events, an export, and a stream that continues where it stopped", async (t) => {
  const { dir, schema } = setUp(t)
  const { run: first, port } = await listening(t, [schema, '--db', join(dir, 'db')])
  await first.until(/EventPeer \{\n {2}id: 'c[a-z0-9]{24}',\n {2}addresses: \[ \{ ip: '127\.0\.0\.1', port: \d+ \} \]\n\}\n/)
  first.send("hyper.emit('Hello', { from: 'Matteo' })\n")
  await first.until("Hello { from: 'Matteo', message: '' }")

  const second = start(t, [schema, '--db', join(dir, 'db2'), '--target-port', port, '--target-host', '127.0.0.1'])
  await second.until(`connected to 127.0.0.1 ${port}\n`)
  await second.until('EventPeer {')
  await second.until("Hello { from: 'Matteo', message: '' }")
  second.send("hyper.emit('Hello', { from: 'Luca' })\n")
  await first.until("Hello { from: 'Luca', message: '' }")

  const stream = [schema, '--no-repl', '--db', join(dir, 'db4'), '--target-port', port, '--target-host', '127.0.0.1']
  const third = start(t, stream)
  await third.until(/^\{"name":"EventPeer","payload":\{"id":"c[a-z0-9]{24}","addresses":\[\{"ip":"127\.0\.0\.1","port":\d+\}\]\}\}\n/)
  await third.until('{"name":"Hello","payload":{"from":"Matteo","message":""}}\n')
  await third.until('{"name":"Hello","payload":{"from":"Luca","message":""}}\n')
  third.send(hello('from a pipe', 'Ada'))
  await first.until("Hello { from: 'Ada', message: 'from a pipe' }")
  await second.until("Hello { from: 'Ada', message: 'from a pipe' }")
  await third.until('Ada')
  await third.kill('SIGINT')

  second.send("hyper.emit('Hello', { from: 'Eve' })\n")
  await second.until('Eve')
  const fourth = start(t, stream)
  await fourth.until('Eve')
  assert.equal(fourth.stdout, '{"name":"Hello","payload":{"from":"Eve","message":""}}\n', 'it starts where it stopped')
  await fourth.kill('SIGINT')
  const fifth = start(t, [...stream, '--from-scratch'])
  await fifth.until('EventPeer')
  await fifth.until('Eve')

  assert.equal((await first.end('.exit\n')).code, 0)
  assert.equal((await second.end('.exit\n')).code, 0)
})

test('each name given by --as has its own position in the store', async (t) => {
  const { schema, db } = setUp(t)
  const run = (...args) => hypem(t, [schema, '--no-repl', '--db', db, ...args])
  assert.equal((await hypem(t, [schema, '--no-repl', '--db', db, '--as', 'a'], { input: hello('1') })).stdout, hello('1'))
  assert.equal((await run('--as', 'b')).stdout, '', 'a new name starts at the end, as 1.x did')
  assert.equal((await hypem(t, [schema, '--no-repl', '--db', db, '--as', 'a'], { input: hello('2') })).stdout, hello('2'))
  assert.equal((await run('--as', 'b')).stdout, hello('2'))
  assert.equal((await run('--as', 'b')).stdout, '')
  assert.equal((await run('--as', 'b', '--from-scratch')).stdout, hello('1') + hello('2'))
})

test('programs can read and set a session\'s position', async (t) => {
  const { schema, db } = setUp(t)
  await hypem(t, [schema, '--no-repl', '--db', db], { input: hello('1') + hello('2') + hello('3') })
  const hyper = new HyperEmitter(db, null)
  assert.equal(await hyper.position('hypem'), 3)
  await hyper.position('hypem', 1)
  await hyper.close()
  assert.equal((await hypem(t, [schema, '--no-repl', '--db', db])).stdout, hello('2') + hello('3'))
})

test('lines that are not events are reported by number, and all others are stored', async (t) => {
  const { schema, db } = setUp(t)
  const lines = [hello('1'), '{oops\n', '\n', hello('2'), '{"name":"Integer","payload":{}}\n', '{"name":"Integer","payload":{"value":1}}\n', '[]\n', '{"name":"constructor","payload":"x"}\n', hello('3')]
  const { code, stdout, stderr } = await hypem(t, [schema, '--no-repl', '--db', db], { input: lines.join('') })
  assert.equal(code, 1)
  assert.equal(stdout, hello('1') + hello('2') + '{"name":"Integer","payload":{"value":1}}\n' + hello('3'))
  assert.deepEqual(stderr.match(/line \d+:/g), ['line 2:', 'line 5:', 'line 7:', 'line 8:'])
  assert.deepEqual(await stored(db), ['Hello', 'Hello', 'Integer', 'Hello'])
})

test('a refused line is reported with the path of the field, even if 1.x\'s text does not name it', async (t) => {
  const { dir, schema, db } = setUp(t)
  writeFileSync(schema, 'message order { repeated Line lines = 1; } message Line { optional Kind kind = 1; required int32 id = 2; } enum Kind { NEW = 0; }')
  const input = '{"name":"order","payload":{"lines":[{"id":1},{"id":2,"kind":"NWE"}]}}\n' + '{"name":"order","payload":{"lines":[{}]}}\n'
  const refused = 'hypem: line 1: order.lines[1].kind: Invalid enum value: NWE\nhypem: line 2: order.lines[0].id: id is required\n'
  assert.equal((await hypem(t, [schema, '--no-repl', '--db', db], { input })).stderr, refused)
  assert.ok((await hypem(t, ['import', join(dir, 'imported'), '-', '--schema', schema], { input })).stderr.startsWith(refused))
})

test('a misspelt event name is reported with the name that was probably meant, and the other lines are stored', async (t) => {
  const { schema, db } = setUp(t)
  const input = hello('1') + '{"name":"Helo","payload":{"from":"a","message":"b"}}\n' + '{"name":"Helo"}\n' + hello('2')
  const { code, stderr } = await hypem(t, [schema, '--no-repl', '--db', db], { input })
  assert.equal(code, 1)
  const hint = "There is no message 'Helo' in the schema: did you mean 'Hello'?"
  assert.deepEqual(stderr.trim().split('\n').map((line) => [line.slice(0, 15), line.slice(-hint.length)]), [['hypem: line 2: ', hint], ['hypem: line 3: ', hint]])
  assert.deepEqual(await stored(db), ['Hello', 'Hello'])
})

test('with --strict, lines that would be stored as something else are refused, with the field', async (t) => {
  const { dir, schema, db } = setUp(t)
  const input = hello('1') + '{"name":"Integer","payload":{"value":1.5}}\n' + '{"name":"Hello","payload":{"form":"a"}}\n' + hello('2')
  const refused = 'hypem: line 2: Integer.value: 1.5 is out of range for int32, which takes whole numbers from -2147483648 to 2147483647\n' +
    "hypem: line 3: Hello.form: Hello has no such field: did you mean 'from'?\n"
  const { code, stderr } = await hypem(t, [schema, '--no-repl', '--strict', '--db', db], { input })
  assert.deepEqual([code, stderr], [1, refused])
  assert.deepEqual(await stored(db), ['Hello', 'Hello'])
  const imported = await hypem(t, ['import', join(dir, 'imported'), '-', '--schema', schema, '--strict'], { input })
  assert.deepEqual([imported.code, imported.stderr.startsWith(refused)], [1, true])
  assert.equal((await hypem(t, [schema, '--no-repl'], { input })).code, 0)
})

test('with --strict, infinite numbers that one session prints are read by another', async (t) => {
  const { dir } = setUp(t)
  const schema = join(dir, 'numbers.proto')
  writeFileSync(schema, 'message Number { optional double value = 1; repeated float more = 2; }')
  const line = '{"name":"Number","payload":{"value":"-Infinity","more":["Infinity"]}}\n'
  assert.deepEqual(await hypem(t, [schema, '--no-repl', '--strict'], { input: line }), { code: 0, stdout: line, stderr: '' })
})

test('the output of one session is the same after it went through another, with bytes and unknown events too', async (t) => {
  const { schema, db } = setUp(t)
  const lines = hello('ünï 🦀 "quoted"') + '{"name":"Other","payload":"text"}\n' + '{"name":"Other","payload":{"type":"Buffer","data":[0,255]}}\n'
  const first = await hypem(t, [schema, '--no-repl', '--db', db], { input: lines })
  assert.match(first.stdout, /"payload":"AP8=","encoding":"base64"/)
  const second = await hypem(t, [schema, '--no-repl'], { input: first.stdout })
  assert.equal(second.stdout, first.stdout)
  assert.equal(second.code, 0)
})

test('with --drain, a session waits at the end of the input until its peers have everything', async (t) => {
  const { dir, schema } = setUp(t)
  const { run: server, port } = await listening(t, [schema, '--no-repl', '--db', join(dir, 'server')])
  const lines = Array.from({ length: 500 }, (_, index) => hello(String(index))).join('')
  const { code, stdout } = await hypem(t, [schema, '--no-repl', '--target-port', port, '--target-host', '127.0.0.1', '--drain'], { input: lines })
  assert.equal(code, 0)
  assert.equal(hellos(stdout), lines)
  await server.kill('SIGTERM')
  assert.equal((await stored(join(dir, 'server'))).filter((name) => name === 'Hello').length, 500)

  const again = await listening(t, [schema, '--no-repl', '--db', join(dir, 'server')])
  const copy = await hypem(t, [schema, '--no-repl', '--target-port', again.port, '--target-host', '127.0.0.1', '--drain'])
  assert.equal(hellos(copy.stdout), lines, 'and until we have all of theirs')
})

test('a busy port and an unreachable target are reported in one line each', async (t) => {
  const { schema, db } = setUp(t)
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = String(server.address().port)
  const busy = await hypem(t, [schema, '--no-repl', '--db', db, '--port', port, '--host', '127.0.0.1'])
  assert.deepEqual([busy.code, busy.stderr], [1, `hypem: cannot listen on 127.0.0.1:${port}: address already in use (EADDRINUSE)\n`])
  await new Promise((resolve) => server.close(resolve))
  const gone = await hypem(t, ['relay', '--target-port', port, '--target-host', '127.0.0.1', '--quiet'])
  assert.deepEqual([gone.code, gone.stderr], [1, `hypem: cannot connect to 127.0.0.1:${port}: connection refused (ECONNREFUSED)\n`])
})

test('a store in use, a file, and a folder with other files are reported in one line each', async (t) => {
  const { dir, schema, db } = setUp(t)
  const { run } = await listening(t, [schema, '--no-repl', '--db', db])
  for (const path of [db, schema, dir]) {
    const { code, stdout, stderr } = await hypem(t, [schema, '--no-repl', '--db', path])
    assert.equal(code, 1)
    assert.equal(stdout, '')
    assert.match(stderr, /^[^\n]+\n$/)
    assert.ok(stderr.includes(path), stderr)
  }
  await run.kill('SIGTERM')
})

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
  test(`${signal} ends a session cleanly: what was printed is stored, and where it stopped`, async (t) => {
    const { schema, db } = setUp(t)
    const run = start(t, [schema, '--no-repl', '--db', db])
    run.send(hello('1') + hello('2'))
    await run.until('"2"')
    assert.equal((await run.kill(signal)).code, code)
    assert.equal(run.stderr, '')
    const again = await hypem(t, [schema, '--no-repl', '--db', db], { input: hello('3') })
    assert.equal(again.stdout, hello('3'))
    assert.equal((await stored(db)).length, 3)
  })
}

test('commands and sessions end silently when the reader of their output has gone', async (t) => {
  const { schema, db } = setUp(t)
  const lines = Array.from({ length: 5000 }, (_, index) => hello(String(index))).join('')
  await hypem(t, ['import', db, '--schema', schema], { input: lines })
  for (const args of [['log', db, '--schema', schema], ['export', db], [schema, '--no-repl', '--db', db, '--from-scratch']]) {
    const run = start(t, args)
    await run.until('\n')
    run.child.stdout.destroy()
    run.child.stdin.end()
    const { code, stderr } = await run.exit
    assert.deepEqual([code, stderr], [0, ''], args[0])
  }
})

test('a session reports that its reader has gone in the middle of the input', async (t) => {
  const { schema } = setUp(t)
  const run = start(t, [schema, '--no-repl'])
  run.send(hello('1'))
  await run.until('"1"')
  run.child.stdout.destroy()
  run.send(hello('2'))
  const { code, stderr } = await run.exit
  assert.equal(code, 1)
  assert.match(stderr, /^hypem: the reader of the output went away before the end of input, at line \d\n$/)
})

test('a session reads its input from a file, and from an empty input', async (t) => {
  const { dir, schema } = setUp(t)
  const file = join(dir, 'lines')
  require('node:fs').writeFileSync(file, hello('1') + hello('2'))
  for (const [path, stdout] of [[file, hello('1') + hello('2')], ['/dev/null', '']]) {
    const fd = openSync(path)
    const run = start(t, [schema, '--no-repl'], { stdin: fd })
    closeSync(fd)
    assert.deepEqual(await run.exit, { code: 0, stdout, stderr: '' })
  }
})

test('all commands that come through a pipe are carried out before the prompt ends', async (t) => {
  const { schema, db } = setUp(t)
  const { code, stdout } = await hypem(t, [schema, '--db', db], { input: "for (let i = 0; i < 100; i++) hyper.emit('Hello', { from: String(i) })\nawait hyper.append('Integer', { value: 5 })\n" })
  assert.equal(code, 0)
  assert.equal(stdout.match(/Hello \{ from: '\d+', message: '' \}/g).length, 100)
  assert.match(stdout, /Integer \{ value: 5 \}/)
  assert.equal((await stored(db)).length, 101)
})
