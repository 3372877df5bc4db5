'use strict'

const assert = require('node:assert/strict')
const { mkdirSync, readFileSync, readdirSync, writeFileSync, existsSync } = require('node:fs')
const net = require('node:net')
const { once } = require('node:events')
const { join } = require('node:path')
const { test } = require('node:test')
const HyperEmitter = require('../..')
const commands = require('../../lib/cli/commands')
const { hello, hypem, listening, scratch, start } = require('./helpers')

/** A store with two logs that forked and were merged: one on each side, then one after both. */
async function forked (t, dir) {
  const schema = readFileSync(join(dir, 'messages.proto'))
  const a = new HyperEmitter(join(dir, 'a'), schema)
  const b = new HyperEmitter(join(dir, 'b'), schema)
  t.after(() => Promise.all([a.close(), b.close()]))
  const sync = async () => {
    const { port } = await a.listen(0, '127.0.0.1')
    await b.connect(port, '127.0.0.1')
  }
  await a.append('Hello', { from: 'a', message: 'first' })
  await b.append('Hello', { from: 'b', message: 'other' })
  await b.append('Integer', { value: 7 })
  await sync()
  for (const [hyper, other] of [[a, b], [b, a]]) {
    while ((await hyper.digest()) !== (await other.digest())) await once(hyper.status, 'x', { signal: AbortSignal.timeout(20) }).catch(() => {})
  }
  await a.append('Hello', { from: 'a', message: 'merged' })
  await Promise.all([a.close(), b.close()])
  return join(dir, 'a')
}

test('every command has a page that fits a terminal, and refuses unknown arguments', async (t) => {
  for (const { name } of commands.all()) {
    const { code, stdout, stderr } = await hypem(t, [name, '--help'])
    assert.equal(code, 0, name)
    assert.equal(stderr, '')
    for (const title of ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'EXAMPLES']) assert.match(stdout, new RegExp(`^${title}$`, 'm'), name)
    for (const line of stdout.split('\n')) assert.ok(line.length <= 100, `${name}: ${line}`)
    const wrong = await hypem(t, [name, '--nosuch'])
    assert.equal(wrong.code, 2, name)
    assert.match(wrong.stderr, /^hypem: [^\n]*--nosuch[^\n]*\nSee: hypem /)
  }
  const { code, stdout } = await hypem(t, ['help'])
  assert.equal(code, 0)
  for (const { name } of commands.all()) assert.match(stdout, new RegExp(`^ {7}${name}$`, 'm'))
  assert.equal((await hypem(t, ['--version'])).stdout.trim(), require('../../package.json').version)
})

test('commands that only read do not create a missing store', async (t) => {
  const dir = scratch(t)
  for (const args of [['stats'], ['verify'], ['digest'], ['log'], ['graph'], ['export']]) {
    const { code, stderr } = await hypem(t, [...args, join(dir, 'nosuch')])
    assert.deepEqual([code, stderr], [1, `hypem: there is no store at ${join(dir, 'nosuch')}\n`])
  }
  assert.equal(existsSync(join(dir, 'nosuch')), false)
})

test('stats, log, graph and digest of a log that forked and was merged', async (t) => {
  const dir = scratch(t)
  const db = await forked(t, dir)
  const schema = join(dir, 'messages.proto')

  const stats = JSON.parse((await hypem(t, ['stats', db, '--json'])).stdout)
  assert.equal(stats.events, 5)
  assert.equal(stats.heads, 1)
  assert.deepEqual(stats.names, { Hello: 3, EventPeer: 1, Integer: 1 })
  assert.deepEqual(stats.logs.map(({ seq }) => seq), [3, 2])
  assert.ok(stats.first <= stats.last)
  const text = (await hypem(t, ['stats', db])).stdout
  assert.match(text, /^events +5$/m)
  assert.match(text, /^ +Hello +3$/m)

  const all = (await hypem(t, ['log', db, '--json', '--schema', schema])).stdout.trim().split('\n').map((line) => JSON.parse(line))
  assert.deepEqual(all.map(({ change }) => change), [1, 2, 3, 4, 5])
  assert.deepEqual(Object.keys(all[0]), ['change', 'cursor', 'time', 'log', 'seq', 'key', 'links', 'name', 'payload'])
  const merged = all.find(({ payload }) => payload.message === 'merged')
  assert.equal(merged.links.length, 2)
  const of = async (...args) => (await hypem(t, ['log', db, '--json', ...args])).stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line).change)
  const other = all.find(({ name }) => name === 'Integer')
  assert.deepEqual(await of('--name', 'Integer'), [other.change])
  assert.deepEqual(await of('--name', 'Integer', '--name', 'EventPeer', '--name', 'Hello'), [1, 2, 3, 4, 5])
  assert.deepEqual(await of('--origin', other.log), all.filter(({ log }) => log === other.log).map(({ change }) => change))
  assert.deepEqual(await of('--since', '1', '--until', '3'), [2, 3])
  assert.deepEqual(await of('--since', all[2].cursor), [4, 5])
  assert.deepEqual(await of('--since', all[0].cursor, '--tail', '1'), [5])
  const elsewhere = await hypem(t, ['log', db, '--since', `other:1:${'0'.repeat(64)}`])
  assert.deepEqual([elsewhere.code, elsewhere.stderr], [1, 'hypem: since: entry 1 of log other is not stored here: nothing of that log is stored here (ERR_HYPER_NOT_FOUND)\n'])
  assert.equal((await hypem(t, ['log', db, '--since', 'x'])).code, 2)
  for (const name of ['--tail', '--limit', '-n']) assert.deepEqual(await of(name, '2'), [4, 5], 'the newest, the newest last')
  assert.deepEqual(await of('--head', '2'), [1, 2])
  assert.deepEqual(await of('--reverse', '--limit', '2'), [5, 4])
  assert.deepEqual(await of('--reverse', '--head', '2'), [2, 1])
  assert.deepEqual(await of('--until', '4', '--tail', '2'), [3, 4])
  assert.deepEqual(await of('--name', 'Hello', '--tail', '2'), all.filter(({ name }) => name === 'Hello').slice(-2).map(({ change }) => change))
  assert.deepEqual(await of('--tail', '0'), [])
  assert.deepEqual(await of('--tail', '99'), [1, 2, 3, 4, 5])
  assert.equal((await hypem(t, ['log', db, '--tail', '1', '--head', '1'])).code, 2)
  const ambiguous = await hypem(t, ['log', db, '--origin', 'c'])
  assert.deepEqual([ambiguous.code, ambiguous.stdout], [1, ''])
  assert.match(ambiguous.stderr, /^hypem: --origin c may mean any of 2 logs \(c\w{24}, c\w{24}\): give more of the id\n$/)
  assert.match((await hypem(t, ['log', db, '--origin', 'nosuch'])).stderr, /^hypem: --origin nosuch: no log in this store has an id that begins with this text/)
  assert.deepEqual(await of('--after', merged.time), [merged.change])
  assert.deepEqual(await of('--before', merged.time), all.filter(({ change }) => change !== merged.change).map(({ change }) => change))
  const shown = (await hypem(t, ['log', db, '--schema', schema, '--name', 'Integer'])).stdout
  assert.match(shown, new RegExp(`^ +${other.change}  \\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z  ${other.log}:2  ${other.key.slice(0, 8)}  Integer \\{ value: 7 \\}\n$`))

  const graph = JSON.parse((await hypem(t, ['graph', db, '--json'])).stdout)
  assert.deepEqual(graph.heads, [merged.key])
  for (const [args, changes] of [[['--limit', '2'], [4, 5]], [['--tail', '2'], [4, 5]], [['--head', '2'], [1, 2]]]) {
    assert.deepEqual(JSON.parse((await hypem(t, ['graph', db, '--json', ...args])).stdout).nodes.map(({ change }) => change), changes)
  }
  assert.deepEqual(graph.nodes.map(({ links }) => links), all.map(({ links }) => links))
  const dot = (await hypem(t, ['graph', db])).stdout
  assert.equal(dot.match(/ -> /g).length, all.flatMap(({ links }) => links).length)
  assert.equal(dot.match(/peripheries=2/g).length, 1)
  const svg = join(dir, 'dag.svg')
  assert.equal((await hypem(t, ['graph', db, '--out', svg, '--limit', '3'])).code, 0)
  assert.match(readFileSync(svg, 'utf8'), /<svg[^]*Hello[^]*<\/svg>/)
  assert.equal((await hypem(t, ['graph', db, '--format', 'svg', '--limit', '100000'])).code, 2)

  const one = (await hypem(t, ['digest', db])).stdout.trim()
  assert.equal(one, stats.digest)
  const two = await hypem(t, ['digest', db, join(dir, 'b')])
  assert.ok([0, 3].includes(two.code))
  assert.equal(new Set(two.stdout.match(/^[0-9a-f]{64}/gm)).size === 1, two.code === 0)
})

test('verify passes an intact store, and says where a damaged one is damaged', async (t) => {
  const dir = scratch(t)
  const db = join(dir, 'db')
  const input = Array.from({ length: 200 }, (_, index) => hello(String(index))).join('')
  await hypem(t, ['import', db, '--schema', join(dir, 'messages.proto')], { input })
  const sound = await hypem(t, ['verify', db, '--json'])
  assert.equal(sound.code, 0)
  assert.equal(JSON.parse(sound.stdout).nodes, 200)
  assert.match((await hypem(t, ['verify', db])).stdout, /^sound: 200 events in 1 log\ndigest [0-9a-f]{64}\n$/)

  const segment = join(db, readdirSync(db).find((name) => name.startsWith('segment')))
  const bytes = readFileSync(segment)
  bytes[Math.floor(bytes.length / 3)] ^= 1
  writeFileSync(segment, bytes)
  const damaged = await hypem(t, ['verify', db])
  assert.equal(damaged.code, 3, damaged.stderr)
  assert.match(damaged.stdout, /^damaged: .*segment/)
  const { ok, code, damage } = JSON.parse((await hypem(t, ['verify', db, '--json'])).stdout)
  assert.deepEqual([ok, code], [false, 'ERR_HYPER_DAMAGED'])
  assert.match(damage, /segment/)
})

test('log --follow continues with events that peers send', async (t) => {
  const dir = scratch(t)
  const schema = join(dir, 'messages.proto')
  const { run: server, port } = await listening(t, [schema, '--no-repl'])
  const db = join(dir, 'db')
  await hypem(t, ['import', db, '--schema', schema], { input: hello('own') })
  const follow = start(t, ['log', db, '--follow', '--json', '--schema', schema, '--connect', `127.0.0.1:${port}`])
  await follow.until('"own"')
  server.send(hello('theirs'))
  await follow.until('"theirs"')
  assert.equal((await follow.kill('SIGINT')).code, 130)
  assert.equal((await hypem(t, ['log', db, '--follow', '--reverse'])).code, 2)
})

test('commands that only read work while an application has the store open', async (t) => {
  const dir = scratch(t)
  const [db, schema] = [join(dir, 'db'), join(dir, 'messages.proto')]
  const { run: application } = await listening(t, [schema, '--no-repl', '--db', db])
  application.send(hello('one'))
  await application.until('"one"')
  const follow = start(t, ['log', db, '--follow', '--json', '--schema', schema])
  await follow.until('"one"')
  application.send(hello('two'))
  await follow.until('"two"')
  assert.equal((await follow.kill('SIGINT')).code, 130)
  const commands = [
    [['stats', db, '--json'], /"Hello": 2/],
    [['log', db, '--schema', schema, '--name', 'Hello'], /one[^]*two/],
    [['graph', db], /^digraph/],
    [['verify', db], /^sound: /],
    [['digest', db], /^[0-9a-f]{64}\n$/],
    [['export', db, '--schema', schema], /"two"/],
    [['schema', 'show', db], /message Hello/],
    [['schema', 'check', schema, db], /can be decoded/],
    [['doctor', db], /^ok {4}store /m],
    [['consumers', db], /^$/]
  ]
  for (const [args, expected] of commands) {
    const { code, stdout, stderr } = await hypem(t, args)
    assert.equal(code, 0, `${args}: ${stderr}`)
    assert.match(stdout, expected, args.join(' '))
  }
  application.send(hello('three'))
  await application.until('"three"')
})

test('log --follow says what it waits for, creates a missing store, and works without a store', async (t) => {
  const dir = scratch(t)
  const schema = join(dir, 'messages.proto')
  const { run: server, port } = await listening(t, [schema, '--no-repl'])
  server.send(hello('old'))
  await server.until('"old"')
  for (const db of [[join(dir, 'new')], []]) {
    const follow = start(t, ['log', ...db, '--follow', '--json', '--schema', schema, '--name', 'Hello', '--connect', `127.0.0.1:${port}`])
    await follow.until(`waiting for events from 127.0.0.1:${port}; Ctrl-C ends\n`, 'stderr')
    await follow.until('"old"')
    assert.equal((await follow.kill('SIGINT')).code, 130)
  }
  const stats = JSON.parse((await hypem(t, ['stats', join(dir, 'new'), '--json'])).stdout)
  assert.deepEqual(stats.peers, [`127.0.0.1:${port}`], 'a store remembers whom it was connected to')
  assert.match((await hypem(t, ['stats', join(dir, 'new')])).stdout, new RegExp(`^peers to connect to at the next start\\n +127\\.0\\.0\\.1:${port}$`, 'm'))

  await hypem(t, ['import', join(dir, 'db'), '--schema', schema], { input: hello('1') + hello('2') + hello('3') })
  const alone = start(t, ['log', join(dir, 'db'), '--follow', '--json', '--tail', '2'])
  await alone.until(/^waiting for events from the process that has the store open; Ctrl-C ends\n$/, 'stderr')
  await alone.until('"change":3')
  assert.deepEqual(alone.stdout.match(/"change":\d/g), ['"change":2', '"change":3'])
  await alone.kill('SIGINT')
  for (const args of [['log'], ['log', '--follow'], ['log', join(dir, 'db'), '--connect', `127.0.0.1:${port}`]]) assert.equal((await hypem(t, args)).code, 2)
})

test("log --json has protobuf's JSON mapping, which import reads back", async (t) => {
  const dir = scratch(t)
  const schema = join(dir, 'order.proto')
  writeFileSync(schema, 'import "google/protobuf/timestamp.proto"; import "google/protobuf/struct.proto"; enum Kind { NEW = 0; OLD = 7; }\nmessage order { optional Kind order_kind = 1; optional int64 order_number = 2; optional bytes raw_data = 3; map<string, Kind> all_kinds = 4; repeated google.protobuf.Timestamp at = 5; optional google.protobuf.Struct more = 6; optional fixed64 wide = 7; }')
  const hyper = new HyperEmitter(join(dir, 'db'), readFileSync(schema))
  await hyper.append('order', { order_kind: 7, order_number: 12345678901, raw_data: Buffer.from([0, 255]), all_kinds: { x: 7 }, at: [{ seconds: 5 }], more: { fields: { fields: { struct_value: { fields: { a: { string_value: 'b' } } } } } }, wide: Buffer.from([7, 0, 0, 0, 0, 0, 0, 0]) })
  const mapped = hyper.messages.order.toJSON((await hyper.read().next()).value.payload)
  await hyper.close()
  const { stdout } = await hypem(t, ['log', join(dir, 'db'), '--json', '--schema', schema])
  assert.deepEqual(JSON.parse(stdout).payload, mapped)
  assert.deepEqual(mapped, { orderKind: 'OLD', orderNumber: '12345678901', rawData: 'AP8=', allKinds: { x: 'OLD' }, at: ['1970-01-01T00:00:05Z'], more: { fields: { a: 'b' } }, wide: '7' })
  const exported = async (db) => (await hypem(t, ['export', join(dir, db), '--schema', schema])).stdout
  for (const [copy, ...strict] of [['copy'], ['strict', '--strict']]) {
    assert.equal((await hypem(t, ['import', join(dir, copy), '--schema', schema, ...strict], { input: stdout })).code, 0)
    assert.equal(await exported(copy), await exported('db'))
  }
})

test('an event that does not decode is shown as bytes, with the reason', async (t) => {
  const dir = scratch(t)
  const hyper = new HyperEmitter(join(dir, 'db'), null)
  await hyper.append('Integer', Buffer.from([0xff, 0xff]))
  await hyper.close()
  const args = ['log', join(dir, 'db'), '--schema', join(dir, 'messages.proto')]
  assert.match((await hypem(t, args)).stdout, /Integer <Buffer ff ff> {2}\(does not decode: .+\)\n$/)
  const { payload, encoding, error } = JSON.parse((await hypem(t, [...args, '--json'])).stdout)
  assert.deepEqual([payload, encoding, typeof error], ['//8=', 'base64', 'string'])
})

test('a relay stores and passes on events without a schema, and ends cleanly', async (t) => {
  const dir = scratch(t)
  const schema = join(dir, 'messages.proto')
  const relay = start(t, ['relay', '--db', join(dir, 'relay'), '--port', '0', '--host', '127.0.0.1'])
  const [, port] = await relay.until(/listening on (\d+) 127\.0\.0\.1\n/)
  const target = ['--target-port', port, '--target-host', '127.0.0.1']
  const reader = start(t, [schema, '--no-repl', ...target])
  await relay.until('a peer has connected')
  const { code } = await hypem(t, [schema, '--no-repl', ...target, '--drain'], { input: hello('through') })
  assert.equal(code, 0)
  await reader.until('"through"')
  assert.equal((await relay.kill('SIGTERM')).code, 0)
  assert.match((await hypem(t, ['log', join(dir, 'relay'), '--schema', schema])).stdout, /message: 'through'/)
  assert.equal((await hypem(t, ['relay'])).code, 2)
})

test('doctor reports what is installed, what is missing, and which protocol a peer speaks', async (t) => {
  const dir = scratch(t)
  const { run, port } = await listening(t, [join(dir, 'messages.proto'), '--no-repl'])
  await hypem(t, ['import', join(dir, 'db'), '--schema', join(dir, 'messages.proto')], { input: hello('1') })
  const stranger = net.createServer((socket) => socket.end('220 mail\r\n')).listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  t.after(() => stranger.close())
  const other = stranger.address().port

  const good = await hypem(t, ['doctor', '--json', '--db', join(dir, 'db'), '--deep', '--port', '0', '--host', '127.0.0.1', '--connect', `127.0.0.1:${port}`])
  const { ok, checks } = JSON.parse(good.stdout)
  assert.deepEqual([good.code, ok], [0, true], good.stdout)
  const detail = (name) => checks.find((check) => check.name.startsWith(name)).detail
  assert.match(detail('node'), /^v\d+\./)
  assert.match(detail('store'), /^embedded, 1 event, 1 log, 1 head, .* every key and link is right$/)
  assert.match(detail('store'), /^embedded, 1 event/)
  assert.match(detail('peer'), /^an emitter of 2\.x at 127\.0\.0\.1; a link stands \(plain\)$/)
  const quick = await hypem(t, ['doctor', join(dir, 'db')])
  assert.match(quick.stdout, /^ok {4}store .* the newest 1 can be read \(--deep checks all\)$/m)
  assert.equal(quick.code, 0)

  const bad = await hypem(t, ['doctor', '--db', join(dir, 'none'), '--port', String(other), '--host', '127.0.0.1', '--connect', `127.0.0.1:${other}`])
  assert.equal(bad.code, 3)
  assert.match(bad.stdout, /^FAIL {2}store .*there is no store at/m)
  assert.match(bad.stdout, /^FAIL {2}port .*EADDRINUSE/m)
  assert.match(bad.stdout, /^FAIL {2}peer .*is not an emitter/m)

  const copy = await hypem(t, [join(dir, 'messages.proto'), '--no-repl', '--db', join(dir, 'copy'), '--target-port', port, '--target-host', '127.0.0.1', '--drain'])
  assert.equal(copy.code, 0, copy.stderr)
  const remembered = await hypem(t, ['doctor', join(dir, 'copy')])
  assert.match(remembered.stdout, new RegExp(`^ok    remembered peer 127\\.0\\.0\\.1:${port} an emitter of 2\\.x`, 'm'))
  const before = await hypem(t, ['digest', join(dir, 'copy')])
  await run.kill('SIGTERM')
  const gone = await hypem(t, ['doctor', join(dir, 'copy')])
  assert.match(gone.stdout, new RegExp(`^note  remembered peer 127\\.0\\.0\\.1:${port} cannot connect to [^\n]*connection refused \\(ECONNREFUSED\\)$`, 'm'))
  assert.equal(gone.code, 0, 'a peer that is away is no fault of the store')
  assert.deepEqual(await hypem(t, ['digest', join(dir, 'copy')]), before, 'nothing is changed')
})

test('doctor says why no link is established, and that a store is in use', async (t) => {
  const dir = scratch(t)
  // Sends the handshake of a 1.x emitter, then closes.
  const curt = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.write(Buffer.from([5, 0, 8, 1, 32, 1]))
    socket.once('data', () => socket.end())
  }).listen(0, '127.0.0.1')
  await once(curt, 'listening')
  t.after(() => curt.close())
  const { code, stdout } = await hypem(t, ['doctor', '--json', '--connect', `127.0.0.1:${curt.address().port}`])
  const found = JSON.parse(stdout).checks.find(({ name }) => name.startsWith('peer'))
  assert.deepEqual([code, found.ok, found.reason], [3, false, 'ended'], stdout)
  assert.match(found.detail, /^an emitter of 1\.x at 127\.0\.0\.1; the link ended \(ended\): /)

  await listening(t, [join(dir, 'messages.proto'), '--no-repl', '--db', join(dir, 'db')])
  const running = await hypem(t, ['doctor', join(dir, 'db')])
  assert.equal(running.code, 0)
  assert.match(running.stdout, /^ok {4}store .*embedded, /m)
})

test('bench prints every measurement that its page names', async (t) => {
  const dir = scratch(t)
  const { code, stdout } = await hypem(t, ['bench', '--events', '2000', '--dir', dir, '--json'])
  assert.equal(code, 0)
  const { perSecond } = JSON.parse(stdout)
  assert.deepEqual(Object.keys(perSecond), ['memory', 'memoryOneByOne', 'disk', 'diskOneByOne', 'catchUp', 'live'])
  for (const rate of Object.values(perSecond)) assert.ok(rate > 0)
  assert.deepEqual(readdirSync(dir), ['messages.proto'], 'nothing is left behind')
})

test('types prints a module, or writes it', async (t) => {
  const dir = scratch(t)
  const schema = join(dir, 'messages.proto')
  const { stdout } = await hypem(t, ['types', schema])
  assert.match(stdout, /Hello: Payload<HelloInput, Hello>/)
  await hypem(t, ['types', schema, '--out', join(dir, 'events.ts')])
  assert.equal(readFileSync(join(dir, 'events.ts'), 'utf8'), stdout)
  mkdirSync(join(dir, 'sub'))
  writeFileSync(join(dir, 'sub', 'main.proto'), 'syntax = "proto3";\nimport "other.proto";\nmessage Main { Other other = 1; }')
  writeFileSync(join(dir, 'sub', 'other.proto'), 'syntax = "proto3";\nmessage Other { bytes body = 1; }')
  const imported = await hypem(t, ['types', join(dir, 'sub', 'main.proto')])
  assert.match(imported.stdout, /other: Other \| null/)
})
