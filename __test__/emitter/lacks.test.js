'use strict'

/** A temporary lack of file descriptors: afterwards peers are accepted and dialled again. */

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const net = require('node:net')
const { test } = require('node:test')

const { ENTRY } = require('./helpers')

/** Runs a script in a process with a limit of open files, and returns its output. `hear` gets the first line. */
function limited (files, script, hear = () => {}) {
  return new Promise((resolve) => {
    const source = `const HyperEmitter = require(${JSON.stringify(ENTRY)}); const fs = require('node:fs')\n${script}`
    const run = spawn('sh', ['-c', 'ulimit -n "$1" && exec "$2" -e "$3"', 'sh', files, process.execPath, source])
    let printed = ''
    run.stdout.once('data', (text) => hear(String(text).split('\n')[0]))
    run.stdout.on('data', (text) => { printed += text })
    run.stderr.on('data', (text) => { printed += text })
    run.on('close', (code) => resolve({ code, printed }))
  })
}

const HOG = `
  /** Opens all descriptors but \`left\`; the answer gives them back. */
  function hog (left) {
    const held = []
    try { for (;;) held.push(fs.openSync('/dev/null')) } catch {}
    for (; left > 0; left--) fs.closeSync(held.pop())
    return () => held.splice(0).forEach((fd) => fs.closeSync(fd))
  }`

const skip = process.platform === 'win32'

test('a server without file descriptors reports it, and accepts peers once descriptors are free again', { skip }, async (t) => {
  const { printed } = await limited('80', `${HOG}
    const a = new HyperEmitter()
    const warned = new Promise((resolve) => a.status.once('warning', resolve))
    a.listen(0, '127.0.0.1', async (error, { port }) => {
      const release = hog(0)
      process.stdout.write(port + '\\n')
      const warning = await warned
      console.log(warning.code, /EMFILE/.test(warning.message))
      const connected = new Promise((resolve) => a.status.once('peerConnected', resolve))
      release()
      await connected
      console.log('accepted')
      await a.close()
    })`, (port) => {
    const client = net.connect(port, '127.0.0.1').on('error', () => {})
    t.after(() => client.destroy())
  })
  assert.match(printed, /^\d+\nERR_HYPER_LISTEN true\naccepted\n$/)
})

test('an emitter that finds no file descriptors has an error with a code, and a later one works', { skip }, async () => {
  const { printed } = await limited('80', `${HOG}
    // Loads what is loaded at the first use.
    new HyperEmitter().close(async () => {
      const codes = new Set()
      for (const left of [0, 1, 2]) {
        const release = hog(left)
        try {
          await new HyperEmitter().ready()
        } catch (error) {
          codes.add(error.code)
        }
        release()
      }
      const emitter = new HyperEmitter()
      console.log([...codes], (await emitter.append('x', 'y')).change)
      await emitter.close()
    })`)
  assert.equal(printed, "[ 'ERR_HYPER_NO_DESCRIPTORS' ] 1\n")
})

test('connect does not give up a peer because of missing file descriptors', { skip }, async () => {
  const { printed } = await limited('80', `${HOG}
    const a = new HyperEmitter()
    const b = new HyperEmitter(undefined, undefined, { reconnectTimeout: 1 })
    a.listen(0, '127.0.0.1', async (error, { port }) => {
      const release = hog(0)
      let failures = 0
      const codes = new Set()
      b.status.on('connectionError', (error) => {
        codes.add(error.code)
        // More than the ten attempts after which a peer that was never reached is given up.
        if (++failures === 25) release()
      })
      await b.connect(port, '127.0.0.1')
      console.log(failures >= 25, [...codes])
      await b.close()
      await a.close()
    })`)
  assert.equal(printed, "true [ 'EMFILE' ]\n")
})
