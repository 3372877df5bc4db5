'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { spawn } = require('node:child_process')

const HyperEmitter = require('../..')

/** The messages of 1.x's own tests. */
const SCHEMA = `
message T { optional string foo = 1; required int32 num = 2; }
message U { optional string bar = 1; required int32 id = 2; }
`

/** Entry point for child processes and workers. */
const ENTRY = path.join(__dirname, '..', '..', 'index.js')

/**
 * Folders to remove when the process ends. (A test's hooks run in the order of registration, so its emitters would still be
 * open in a hook.)
 */
const folders = []
process.on('exit', () => {
  for (const made of folders) fs.rmSync(made, { recursive: true, force: true })
})

/** A folder that is removed when this process ends. */
function folder () {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-'))
  folders.push(made)
  return made
}

/** The first `count` messages of an event. */
function hear (emitter, name, count) {
  return new Promise((resolve) => {
    const heard = []
    emitter.on(name, function listener (message) {
      heard.push(message)
      if (heard.length === count) {
        emitter.removeListener(name, listener)
        resolve(heard)
      }
    })
  })
}

/** Resolves when everything emitted so far has been handed over to listeners. */
async function settled (emitter) {
  const heard = new Promise((resolve) => emitter.once('settled', resolve))
  await emitter.append('settled', '')
  await heard
}

/** Resolves when everything emitted so far has been stored, and could have been handed over to listeners that stall. */
async function stored (emitter) {
  await emitter.append('stored', '')
  // Each call goes to the other threads and back.
  for (let i = 0; i < 10; i++) await emitter.stats()
  await turns(10)
}

/** Turns the event loop until `condition` holds; the test's own time limit ends it. */
async function until (condition) {
  while (!condition()) await turns(1)
}

/** So many turns of the event loop. */
async function turns (count) {
  for (; count > 0; count--) await new Promise((resolve) => setImmediate(resolve))
}

/** Runs a script in a process of its own: `{ code, signal, stdout, stderr }`. It gets HyperEmitter and SCHEMA. */
function child (script, { limit = 20000, args = [], flags = [] } = {}) {
  const source = `const HyperEmitter = require(${JSON.stringify(ENTRY)}); const SCHEMA = ${JSON.stringify(SCHEMA)};\n${script}`
  return new Promise((resolve) => {
    const run = spawn(process.execPath, [...flags, '-e', source, '--', ...args])
    let stdout = ''
    let stderr = ''
    run.stdout.on('data', (data) => { stdout += data })
    run.stderr.on('data', (data) => { stderr += data })
    const timer = setTimeout(() => run.kill('SIGKILL'), limit)
    run.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout, stderr })
    })
  })
}

module.exports = { HyperEmitter, SCHEMA, ENTRY, folder, hear, settled, stored, until, turns, child }
