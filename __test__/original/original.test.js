'use strict'

/**
 * Runs the tests and examples of hyperemitter 1.3.0, as they are in its package, with this module: `../hyperemitter` resolves
 * to ours. They use port 9901, so they run one after another.
 */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { execFile } = require('node:child_process')
const { test } = require('node:test')

const ORACLE = path.join(__dirname, '..', 'oracle')
const ORIGINAL = path.join(ORACLE, 'node_modules', 'hyperemitter')

/** A copy of the original's tests and examples beside a `hyperemitter.js` that is ours. */
function workshop (t) {
  // Within the oracle's folder, so that memdb and tape are found.
  const made = fs.mkdtempSync(path.join(ORACLE, 'workshop-'))
  t.after(() => fs.rmSync(made, { recursive: true, force: true }))
  for (const part of ['test', 'examples']) fs.cpSync(path.join(ORIGINAL, part), path.join(made, part), { recursive: true })
  const ours = JSON.stringify(path.join(__dirname, '..', '..', 'hyperemitter.js'))
  fs.writeFileSync(path.join(made, 'hyperemitter.js'), `module.exports = require(${ours})\n`)
  return made
}

/** Runs a script in its own folder; it gets a minute. The codecs of its day use Buffer(), of which Node.js 22 and later warn. */
function run (folder, file) {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--disable-warning=DEP0005', file], { cwd: folder, timeout: 60000 }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code ?? error.signal : 0, stdout, stderr })
    })
  })
}

for (const round of [1, 2, 3]) {
  test(`the original's 84 assertions, round ${round}`, async (t) => {
    const { code, stdout, stderr } = await run(path.join(workshop(t), 'test'), 'test.js')
    const failed = stdout.split('\n').filter((line) => line.startsWith('not ok'))
    assert.deepEqual({ code, failed, stderr }, { code: 0, failed: [], stderr: '' })
    assert.match(stdout, /^# tests 84$/m)
    assert.match(stdout, /^# pass {2}84$/m)
  })
}

/** What 1.3.0 printed. */
const EXAMPLES = {
  'basic-example.js': "userAdded:  { id: 1, username: 'user', name: '', surname: '' }\nuserRemoved { id: 1 }\n",
  'emit-callback-needs-subscriber.js': "userAdded:  { id: 1, username: 'user', name: '', surname: '' }\nexample complete\n",
  'multiple-connected-emitters.js': "userRemoved:  { id: 1 }\nuserAdded:  { id: 1, username: 'user', name: '', surname: '' }\n",
  'subscriber-synchronisation.js': "userAdded:  { id: 1, username: 'user', name: '', surname: '' }\n".repeat(2)
}

for (const [file, expected] of Object.entries(EXAMPLES)) {
  test(`the original's ${file} prints what it did`, async (t) => {
    assert.deepEqual(await run(path.join(workshop(t), 'examples'), file), { code: 0, stdout: expected, stderr: '' })
  })
}
