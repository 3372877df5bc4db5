'use strict'

// Starts peers as processes, controls them, and checks what they have at the end.

const assert = require('node:assert/strict')
const { fork } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

/**
 * Longest a cluster may take to converge, in ms: several of a 1.x peer's half-dead links, each healed after seconds of idleness,
 * and what 1.x needs per event on a busy machine.
 */
const PATIENCE = 90 * 1000
const PER_EVENT = 20

class Peer {
  constructor (name, options, t) {
    this.name = name
    this.options = options
    this.t = t
    this.calls = new Map()
    this.next = 0
  }

  /** Starts the process and opens the emitter. */
  async start () {
    this.child = fork(path.join(__dirname, 'peer.js'), { execArgv: ['--no-deprecation', '--expose-gc'], stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
    this.errors = ''
    this.child.stderr.on('data', (chunk) => { this.errors += chunk })
    this.child.on('message', ({ id, result, error }) => {
      const call = this.calls.get(id)
      this.calls.delete(id)
      if (error) call.reject(new Error(`${this.name}: ${error}`))
      else call.resolve(result)
    })
    this.gone = new Promise((resolve) => this.child.on('close', (code, signal) => {
      for (const call of this.calls.values()) call.reject(new Error(`${this.name} ended with ${signal || code}\n${this.errors}`))
      this.calls.clear()
      resolve(signal || code)
    }))
    this.t.after(() => this.child.kill('SIGKILL'))
    await this.call('open', this.options)
    // Its history has been written; a restart must not write it again.
    this.options = { ...this.options, past: undefined }
    return this
  }

  call (command, args = {}) {
    const id = this.next++
    return new Promise((resolve, reject) => {
      this.calls.set(id, { resolve, reject })
      this.child.send({ id, command, args }, (err) => err && reject(err))
    })
  }

  emit (from, to, tag = this.name) {
    return this.call('emit', { tag, from, to })
  }

  async listen () {
    this.port = await this.call('listen')
    return this.port
  }

  connect (other, how) {
    return this.call('connect', { port: other.port, how })
  }

  /** Suspends the process, as a debugger or a swapped-out machine would; `resume` continues it. */
  pause () {
    this.child.kill('SIGSTOP')
  }

  resume () {
    this.child.kill('SIGCONT')
  }

  async kill () {
    this.child.kill('SIGKILL')
    await this.gone
  }
}

/** A new peer; gone when the test ends. `store`: memory, memdb, leveldb, embedded. */
exports.start = async function start (t, name, options) {
  const dir = ['leveldb', 'embedded'].includes(options.store) ? fs.mkdtempSync(path.join(os.tmpdir(), 'hyper-interop-')) : undefined
  if (dir) t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  return new Peer(name, { ...options, dir: dir && path.join(dir, 'db') }, t).start()
}

/** `tag/1` … `tag/count`. */
const range = (tag, count) => Array.from({ length: count }, (_, i) => `${tag}/${i + 1}`)
exports.range = range

/** Every peer ends with exactly these events, each once, each writer's in order. */
exports.converge = async function converge (peers, expected) {
  const count = new Set(expected).size
  const late = Symbol('late')
  for (const peer of peers) {
    let timer
    const patience = new Promise((resolve) => { timer = setTimeout(resolve, PATIENCE + count * PER_EVENT, late) })
    const result = await Promise.race([peer.call('has', { count }), patience])
    clearTimeout(timer)
    const { stored, statuses } = await peer.call('report')
    inOrder(peer.name, stored)
    if (result === late) {
      const names = new Set(spell(stored))
      const missing = expected.filter((event) => !names.has(event))
      assert.fail(`${peer.name} has ${names.size} of ${count} events, lacks ${missing.slice(0, 5)} …; status: ${statuses.slice(-5)}`)
    }
  }
  for (const peer of peers) {
    const { stored, heard } = await peer.call('report')
    inOrder(peer.name, stored)
    inOrder(peer.name, heard)
    assert.deepEqual(spell(stored).sort(), [...expected].sort(), `${peer.name} stores each event once`)
  }
}

/** `{ tag: [1, 2] }` as `tag/1`, `tag/2`. */
function spell (seen) {
  return Object.entries(seen).flatMap(([tag, nums]) => nums.map((num) => `${tag}/${num}`))
}

/** Each writer's events come in its order, none twice. */
function inOrder (name, seen) {
  for (const [tag, nums] of Object.entries(seen)) {
    const wrong = nums.findIndex((num, i) => i > 0 && num <= nums[i - 1])
    assert.equal(wrong, -1, `${name}: ${tag}/${nums[wrong]} comes after ${tag}/${nums[wrong - 1]}`)
  }
}
