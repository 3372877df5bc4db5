'use strict'

/** Every example runs and prints what it promises. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { execFile } = require('node:child_process')
const { test } = require('node:test')

const EXAMPLES = path.join(__dirname, '..', 'examples')

const PRINTS = {
  'basic.js': "added { id: 1, username: 'matteo', name: '' }\nremoved { id: 1 }\n",
  'callback.js': 'stored as change 1\nheard matteo\n',
  'back-pressure.js': 'begin 1\nend 1\nremoved 1\n',
  'late-subscriber.js': "userAdded { id: 1, username: 'matteo', name: '' }\nuserRemoved { id: 1 }\n",
  'custom-codec.js': "{ celsius: 21.5, at: [ 'kitchen', 'window' ] }\nplain text, no codec\n",
  'restart.js': 'the client hears of user 1\nthe client is gone; user 2 is added\nthe client hears of user 2\nthe client hears of user 3\n'
}

function run (file, ...args) {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [file, ...args], { timeout: 60000 }, (error, stdout, stderr) => {
      if (error || stderr) reject(error ?? new Error(stderr))
      else resolve(stdout)
    })
  })
}

for (const [file, expected] of Object.entries(PRINTS)) {
  test(`examples/${file}`, async () => assert.equal(await run(path.join(EXAMPLES, file)), expected))
}

test('examples/two-emitters.js', async () => {
  const lines = (await run(path.join(EXAMPLES, 'two-emitters.js'))).trim().split('\n')
  assert.equal(lines.pop(), 'both hold the same events')
  assert.deepEqual(lines.sort(), ['one', 'two'].flatMap((name) => [
    `${name} hears userAdded of user 1`, `${name} hears userRemoved of user 2`
  ]))
})

test('examples/crash.js', async () => {
  const lines = (await run(path.join(EXAMPLES, 'crash.js'))).trim().split('\n')
  const [one, two] = lines.splice(-2).map((line) => /^(?:one|two) holds 6 events, digest (\w{16})$/.exec(line)[1])
  assert.equal(one, two)
  const heard = (name) => lines.filter((line) => line.startsWith(`${name} heard`)).length
  // Each time all events arrive: two hears three of them before it is killed, and afterwards the three that it missed.
  assert.equal(heard('one'), 6)
  assert.equal(heard('two'), 6)
})

test('examples/typescript.ts compiles strictly and runs', async (t) => {
  const compiled = path.join(EXAMPLES, 'typescript.js')
  t.after(() => fs.rmSync(compiled, { force: true }))
  const tsc = path.join(__dirname, '..', 'node_modules', 'typescript', 'bin', 'tsc')
  // As the example itself says.
  const [, options] = /npx tsc (.*) examples\/typescript\.ts && node/.exec(fs.readFileSync(path.join(EXAMPLES, 'typescript.ts'), 'utf8'))
  await run(tsc, ...options.split(' '), path.join(EXAMPLES, 'typescript.ts'))
  const lines = (await run(compiled)).trim().split('\n')
  assert.deepEqual(lines.sort(), ['MATTEO', 'stored as change 1', 'userRemoved 1'].sort())
})

test('no example is forgotten', () => {
  const known = [...Object.keys(PRINTS), 'two-emitters.js', 'crash.js', 'typescript.ts']
  const found = fs.readdirSync(EXAMPLES).filter((file) => /\.[jt]s$/.test(file) && file !== 'typescript.js')
  assert.deepEqual(found.sort(), known.sort())
})
