'use strict'

/** hypem keygen, hypem key, and sessions that are secured by them. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { hello, hypem, listening, scratch, start } = require('./helpers')

test('keygen makes a key that only its owner may read, and never overwrites one', async (t) => {
  const file = path.join(scratch(t), 'node.key')
  const made = await hypem(t, ['keygen', file])
  assert.deepEqual([made.code, made.stderr], [0, ''])
  assert.match(made.stdout, /^ed25519-[a-z2-7]{52}\n$/)
  if (process.platform !== 'win32') assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  assert.equal((await hypem(t, ['key', file])).stdout, made.stdout)
  const before = fs.readFileSync(file, 'utf8')
  const again = await hypem(t, ['keygen', file])
  assert.equal(again.code, 1)
  assert.match(again.stderr, /already exists/)
  assert.equal(fs.readFileSync(file, 'utf8'), before)
})

test('keygen --secret makes the secret of a group', async (t) => {
  const file = path.join(scratch(t), 'secret')
  const made = await hypem(t, ['keygen', '--secret', file])
  assert.deepEqual([made.code, made.stdout], [0, ''])
  assert.match(fs.readFileSync(file, 'utf8'), /^[0-9a-f]{64}\n$/)
})

test('key says what is wrong with a file', async (t) => {
  const file = path.join(scratch(t), 'none')
  fs.writeFileSync(file, 'nothing')
  const { code, stderr } = await hypem(t, ['key', file])
  assert.equal(code, 1)
  assert.match(stderr, /no private key/)
})

const windows = process.platform === 'win32' && 'there is no SIGHUP'

test('a session admits the peers that its file lists, reports those that it refuses, and reads the file again at SIGHUP', { skip: windows }, async (t) => {
  const dir = scratch(t)
  const at = (name) => path.join(dir, name)
  const made = async (name) => (await hypem(t, ['keygen', at(name)])).stdout.trim()
  const [one, two] = [await made('one.key'), await made('two.key')]
  fs.writeFileSync(at('peers'), '# nobody yet\n')
  const schema = at('messages.proto')
  const { run, port } = await listening(t, [schema, '--no-repl', '--identity', at('one.key'), '--peers', at('peers'), '--network', 'tests'])
  const dial = [schema, '--no-repl', '--target-port', port, '--target-host', '127.0.0.1', '--target-key', one, '--network', 'tests']
  const refused = await hypem(t, [...dial, '--identity', at('two.key')])
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /ERR_HYPER_RIGHTS/)
  await run.until(/a peer was refused: .*not in peers.*ERR_HYPER_RIGHTS/, 'stderr')

  fs.writeFileSync(at('peers'), `${two} read and write\n`)
  process.kill(run.child.pid, 'SIGHUP')
  await run.until(/line 1: .*nothing was changed/, 'stderr')
  fs.writeFileSync(at('peers'), `${two} write # the second one\n`)
  process.kill(run.child.pid, 'SIGHUP')
  await run.until('was read again', 'stderr')
  const other = start(t, [...dial, '--identity', at('two.key')])
  other.send(hello('in confidence'))
  await run.until('in confidence')
  const doctor = ['doctor', '--connect', `${one}@127.0.0.1:${port}`, '--identity', at('two.key'), '--network', 'tests']
  const healthy = await hypem(t, doctor)
  assert.equal(healthy.code, 0, healthy.stdout)
  assert.ok(healthy.stdout.includes(`a link stands (noise, ${one})`), healthy.stdout)
  assert.match((await hypem(t, ['doctor', '--connect', `127.0.0.1:${port}`])).stdout, /accepts only encrypted links/)
})
