'use strict'

/**
 * Many lines, bounded memory, kills in the middle. Long form: HYPEM_LINES=1000000 HYPEM_KILLS=50.
 */

const assert = require('node:assert/strict')
const { createHash } = require('node:crypto')
const { appendFileSync, closeSync, createReadStream, createWriteStream, openSync, readFileSync, statSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { Readable } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const { test } = require('node:test')
const { hypem, scratch, start } = require('./helpers')

const LINES = Number(process.env.HYPEM_LINES ?? 20000)
const KILLS = Number(process.env.HYPEM_KILLS ?? 5)

/** Resident memory that hypem may need for any number of lines, in bytes. Most of it is Node.js itself. */
const MEMORY = 300 * 1024 * 1024

function * manyLines (count) {
  for (let from = 0; from < count; from += 1000) {
    let text = ''
    for (let i = from; i < Math.min(count, from + 1000); i++) text += JSON.stringify({ name: 'Hello', payload: { from: `line ${i}`, message: 'x'.repeat(i % 50) } }) + '\n'
    yield text
  }
}

async function digestOf (path) {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk)
  return hash.digest('hex')
}

/** Peak resident memory of a process so far, in bytes; 0 if it is about to end. */
function peak (pid) {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

test(`${LINES} lines are emitted and printed in order, in bounded memory`, { skip: process.platform !== 'linux' && 'reads /proc' }, async (t) => {
  const dir = scratch(t)
  const [input, output] = [join(dir, 'in'), join(dir, 'out')]
  await pipeline(Readable.from(manyLines(LINES)), createWriteStream(input))
  const fd = openSync(input)
  const run = start(t, [join(dir, 'messages.proto'), '--no-repl', '--db', join(dir, 'db')], { stdin: fd })
  closeSync(fd)
  let memory = 0
  run.child.stdout.removeAllListeners('data')
  const started = performance.now()
  const watch = setInterval(() => { if (!run.result) memory = Math.max(memory, peak(run.child.pid)) }, 100)
  const written = pipeline(run.child.stdout.setEncoding('utf8'), createWriteStream(output))
  const { code, stderr } = await run.exit
  clearInterval(watch)
  await written
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(await digestOf(output), await digestOf(input))
  assert.ok(memory < MEMORY, `${memory} bytes`)
  t.diagnostic(`${LINES} lines through a session on disk: ${((performance.now() - started) / 1000).toFixed(1)} s, ${Math.round(memory / 2 ** 20)} MiB`)

  const exported = join(dir, 'exported')
  const again = await hypem(t, ['export', join(dir, 'db'), exported, '--schema', join(dir, 'messages.proto')])
  assert.equal(again.code, 0)
  assert.equal(await digestOf(exported), await digestOf(input))
})

test('an export to a slow reader takes bounded memory and loses nothing', { skip: process.platform !== 'linux' && 'reads /proc' }, async (t) => {
  const dir = scratch(t)
  const input = join(dir, 'in')
  await pipeline(Readable.from(manyLines(LINES)), createWriteStream(input))
  await hypem(t, ['import', join(dir, 'db'), input, '--schema', join(dir, 'messages.proto')])
  const run = start(t, ['export', join(dir, 'db'), '--schema', join(dir, 'messages.proto')])
  run.child.stdout.removeAllListeners('data').pause()
  let memory = 0
  const hash = createHash('sha256')
  for await (const chunk of run.child.stdout.setEncoding('utf8')) {
    hash.update(chunk)
    if (!run.result) memory = Math.max(memory, peak(run.child.pid))
    await new Promise(setImmediate)
  }
  assert.equal(hash.digest('hex'), await digestOf(input))
  assert.ok(memory < MEMORY, `${memory} bytes`)
})

for (const [what, command] of [
  ['an import', (dir, input, resume) => ['import', join(dir, 'db'), input, '--schema', join(dir, 'messages.proto'), ...resume]],
  ['a session', (dir, input, resume) => [join(dir, 'messages.proto'), '--no-repl', '--db', join(dir, 'db'), ...resume]]
]) {
  test(`${what} killed ${KILLS} times and resumed: no line is lost or stored twice`, async (t) => {
    const dir = scratch(t)
    const input = join(dir, 'in')
    await pipeline(Readable.from(manyLines(LINES)), createWriteStream(input))
    const segment = join(dir, 'db', 'segment-0000000001')
    let last = 0
    for (let kill = 0; kill < KILLS; kill++) {
      const fd = openSync(what === 'a session' ? input : '/dev/null')
      const run = start(t, command(dir, input, kill > 0 ? ['--resume'] : []), { stdin: fd })
      closeSync(fd)
      // Waits until more lines have reached the disk.
      const enough = last + 1 + Math.floor(Math.random() * LINES * 60 / KILLS)
      while (!run.result && sizeOf(segment) < enough) await new Promise((resolve) => setTimeout(resolve, 1))
      await run.kill('SIGKILL')
      last = sizeOf(segment)
    }
    const fd = openSync(what === 'a session' ? input : '/dev/null')
    const run = start(t, command(dir, input, ['--resume']), { stdin: fd })
    closeSync(fd)
    const { code } = await run.exit
    assert.equal(code, 0)
    const exported = await hypem(t, ['export', join(dir, 'db'), join(dir, 'out'), '--schema', join(dir, 'messages.proto')])
    assert.equal(exported.code, 0)
    assert.equal(await digestOf(join(dir, 'out')), await digestOf(input))
    const { code: sound } = await hypem(t, ['verify', join(dir, 'db')])
    assert.equal(sound, 0)
    const more = await hypem(t, ['import', join(dir, 'db'), input, '--schema', join(dir, 'messages.proto'), '--json', '--resume', '--as', what === 'a session' ? 'hypem' : 'import'])
    assert.equal(more.stdout, `{"lines":${LINES},"stored":0,"known":${LINES},"refused":0}\n`, 'and once more changes nothing')
  })
}

test('a resumed import skips refused lines and events that do not come from its input', async (t) => {
  const dir = scratch(t)
  const [input, schema, db] = [join(dir, 'in'), join(dir, 'messages.proto'), join(dir, 'db')]
  const line = (message) => JSON.stringify({ name: 'Hello', payload: { message } }) + '\n'
  const same = line('same')
  writeFileSync(input, '{bad\n' + same + same + '{"name":"Integer","payload":{}}\n' + line('a'))
  assert.equal((await hypem(t, ['import', db, input, '--schema', schema, '--json'])).stdout, '{"lines":5,"stored":3,"known":0,"refused":2}\n')
  await hypem(t, [schema, '--no-repl', '--db', db], { input: line('elsewhere') + line('b') })
  appendFileSync(input, '{"name":"Integer","payload":{}}\n' + same + line('c'))
  assert.equal((await hypem(t, ['import', db, input, '--schema', schema, '--json', '--resume'])).stdout, '{"lines":8,"stored":2,"known":3,"refused":3}\n')
  const { stdout } = await hypem(t, ['export', db, '--schema', schema])
  assert.deepEqual(stdout.trim().split('\n').map((text) => JSON.parse(text).payload.message), ['same', 'same', 'a', 'elsewhere', 'b', 'same', 'c'])
})

test('lines may have tags and ids: an id is stored once, and a resumed import recognises lines with tags', async (t) => {
  const dir = scratch(t)
  const [input, schema, db] = [join(dir, 'in'), join(dir, 'messages.proto'), join(dir, 'db')]
  const line = (message, rest) => JSON.stringify({ name: 'Hello', payload: { message }, ...rest }) + '\n'
  const first = line('a', { tags: ['x', 'y'] }) + line('b', { id: 'request-1', tags: ['x'] })
  writeFileSync(input, first + line('b', { id: 'request-1', tags: ['x'] }) + line('other', { id: 'request-1' }) + line('c', { id: 7 }))
  const again = ['import', db, input, '--schema', schema, '--json']
  const run = await hypem(t, again)
  assert.equal(run.stdout, '{"lines":5,"stored":3,"known":0,"refused":2}\n')
  assert.match(run.stderr, /line 4: .*request-1/)
  assert.match(run.stderr, /line 5: id of an append: it must be a string/)
  const stored = '{"name":"Hello","payload":{"from":"","message":"a"},"tags":["x","y"]}\n{"name":"Hello","payload":{"from":"","message":"b"},"tags":["x"]}\n'
  assert.equal((await hypem(t, ['export', db, '--schema', schema])).stdout, stored)
  writeFileSync(input, first)
  assert.equal((await hypem(t, [...again, '--resume'])).stdout, '{"lines":2,"stored":0,"known":2,"refused":0}\n')
})

test('a session ignores ids, as 1.x did', async (t) => {
  const dir = scratch(t)
  const [schema, db] = [join(dir, 'messages.proto'), join(dir, 'db')]
  const lines = ['a', 'b'].map((message) => JSON.stringify({ name: 'Hello', payload: { message }, id: 7 }) + '\n').join('')
  const { stderr } = await hypem(t, [schema, '--no-repl', '--db', db], { input: lines })
  assert.equal(stderr, '')
  const { stdout } = await hypem(t, ['export', db, '--schema', schema])
  assert.deepEqual(stdout.trim().split('\n').map((text) => JSON.parse(text).payload.message), ['a', 'b'])
})

test('a line whose tags are not a list of strings is refused', async (t) => {
  const dir = scratch(t)
  const lines = ['a', 7, [1]].map((tags) => JSON.stringify({ name: 'Hello', payload: { message: 'a' }, tags }) + '\n').join('')
  const { code, stdout, stderr } = await hypem(t, [join(dir, 'messages.proto'), '--no-repl'], { input: lines })
  assert.deepEqual([code, stdout], [1, ''])
  assert.deepEqual(stderr.trim().split('\n').map((text) => /^hypem: line \d: tags of event 'Hello'/.test(text)), [true, true, true])
})

function sizeOf (path) {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}
