'use strict'

const assert = require('node:assert/strict')
const { existsSync, readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { ClassicLevel } = require('classic-level')
const HyperEmitter = require('../..')
const { hello, hypem, scratch, start } = require('./helpers')

/** Every row of a LevelDB folder that 1.x knows: nodes, changes, logs, heads. */
async function rows (folder) {
  const db = new ClassicLevel(folder, { keyEncoding: 'utf8', valueEncoding: 'hex' })
  const all = {}
  for await (const [key, value] of db.iterator()) if (/^!(nodes|changes|logs|heads)!/.test(key)) all[key] = value
  await db.close()
  return all
}

test('a LevelDB folder of 1.x is the same, row by row, after it was copied to an embedded store and back', async (t) => {
  const dir = scratch(t)
  const old = join(dir, 'old')
  const hyper = new HyperEmitter(new ClassicLevel(old), readFileSync(join(dir, 'messages.proto')))
  for (let i = 0; i < 300; i++) await hyper.append('Hello', { from: 'old', message: String(i) })
  await hyper.close()
  const before = await rows(old)
  assert.equal(Object.keys(before).length, 300 * 3 + 1)

  const moved = await hypem(t, ['import', join(dir, 'db'), old])
  assert.deepEqual([moved.code, moved.stderr], [0, '300 events copied\n'])
  assert.equal((await hypem(t, ['digest', old, join(dir, 'db')])).code, 0)
  assert.equal((await hypem(t, ['import', join(dir, 'db'), old, '--json'])).stdout, '{"rows":0}\n', 'again changes nothing')

  assert.equal((await hypem(t, ['export', join(dir, 'db'), '--level', join(dir, 'back')])).code, 0)
  assert.deepEqual(await rows(join(dir, 'back')), before)
  assert.equal((await hypem(t, ['verify', join(dir, 'back')])).code, 0)
})

test('--db takes a LevelDB folder as it is', async (t) => {
  const dir = scratch(t)
  const old = join(dir, 'old')
  const schema = join(dir, 'messages.proto')
  const hyper = new HyperEmitter(new ClassicLevel(old), readFileSync(schema))
  await hyper.append('Hello', { from: 'x', message: '1' })
  await hyper.close()
  const { stdout } = await hypem(t, [schema, '--no-repl', '--db', old, '--from-scratch'], { input: hello('2') })
  assert.equal(stdout, hello('1') + hello('2'))
  assert.equal((await hypem(t, [schema, '--no-repl', '--db', old])).stdout, '', 'its place is kept there too')
  const { store, sizes } = JSON.parse((await hypem(t, ['stats', old, '--json'])).stdout)
  assert.equal(store, 'level')
  assert.ok(sizes.data > 0)
  assert.equal(Object.keys(await rows(old)).length, 7)
  const open = start(t, [schema, '--db', old])
  await open.until('> ')
  const busy = await hypem(t, ['stats', old])
  assert.deepEqual([busy.code, busy.stderr], [1, `hypem: ${old} is in use by another process: close it there first; meanwhile, commands that only read it work if it is a folder of 2.x, and if that process listens, its events can be read over the network: hypem log --follow --connect HOST:PORT (ERR_HYPER_LOCKED)\n`])
  await open.end('.exit\n')
})

test('an embedded store is copied as a whole', async (t) => {
  const dir = scratch(t)
  await hypem(t, ['import', join(dir, 'a'), '--schema', join(dir, 'messages.proto')], { input: hello('1') + hello('2') })
  assert.equal((await hypem(t, ['import', join(dir, 'b'), join(dir, 'a')])).stderr, '2 events copied\n')
  assert.equal((await hypem(t, ['digest', join(dir, 'a'), join(dir, 'b')])).code, 0)
})

test('lines that were exported are imported again, with and without a schema', async (t) => {
  const dir = scratch(t)
  const schema = ['--schema', join(dir, 'messages.proto')]
  const input = hello('1') + '{"name":"Other","payload":{"type":"Buffer","data":[0,200]}}\n' + '{"name":"Integer","payload":{"value":-5}}\n'
  await hypem(t, ['import', join(dir, 'a'), ...schema], { input })
  const lines = (await hypem(t, ['export', join(dir, 'a'), ...schema])).stdout
  const bytes = (await hypem(t, ['export', join(dir, 'a')])).stdout
  assert.equal(lines, input.replace('{"type":"Buffer","data":[0,200]}', '"AMg=","encoding":"base64"'))
  for (const [text, how] of [[lines, schema], [bytes, []]]) {
    const file = join(dir, 'events.ndjson')
    writeFileSync(file, text)
    const copy = join(dir, `copy-${how.length}`)
    const { code, stdout } = await hypem(t, ['import', copy, file, '--json', ...how])
    assert.deepEqual([code, stdout], [0, '{"lines":3,"stored":3,"known":0,"refused":0}\n'])
    assert.equal((await hypem(t, ['export', copy, ...schema])).stdout, lines)
  }
})

test('an export does not overwrite a file unless told to, and takes a selection', async (t) => {
  const dir = scratch(t)
  const db = join(dir, 'a')
  const schema = ['--schema', join(dir, 'messages.proto')]
  await hypem(t, ['import', db, ...schema], { input: hello('1') + hello('2') + hello('3') })
  const file = join(dir, 'out')
  assert.equal((await hypem(t, ['export', db, file, ...schema, '--since', '1', '--until', '2'])).code, 0)
  assert.equal(readFileSync(file, 'utf8'), hello('2'))
  const again = await hypem(t, ['export', db, file, ...schema])
  assert.deepEqual([again.code, again.stderr], [1, `hypem: ${file} exists; use --force to overwrite it\n`])
  assert.equal((await hypem(t, ['export', db, file, ...schema, '--force'])).code, 0)
  assert.equal(readFileSync(file, 'utf8'), hello('1') + hello('2') + hello('3'))
  assert.equal((await hypem(t, ['export', db, '-', '--level', join(dir, 'l')])).code, 2)
  assert.equal(existsSync(join(dir, 'l')), false)
})

test('an import without a schema reports each line that needs one', async (t) => {
  const dir = scratch(t)
  const { code, stderr } = await hypem(t, ['import', join(dir, 'a')], { input: hello('1') })
  assert.equal(code, 1)
  assert.match(stderr, /^hypem: line 1: .*string.*\n0 events stored, 1 line refused\n$/)
})
