'use strict'

const { spawn } = require('node:child_process')
const { mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { stripVTControlCharacters } = require('node:util')

const BIN = join(__dirname, '../../bin/hypem.js')

/** How long to wait for expected output, in milliseconds. It is generous, because machines may be busy. */
const PATIENCE_MS = 30000

const SCHEMA = `message Hello {
  optional string from = 1;
  optional string message = 2;
}

message Integer {
  required int32 value = 1;
}
`

/** A folder of its own for a test, with the schema `messages.proto` in it; gone afterwards. */
function scratch (t) {
  const dir = mkdtempSync(join(tmpdir(), 'hypem-'))
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  writeFileSync(join(dir, 'messages.proto'), SCHEMA)
  return dir
}

/** A running program, and what it has printed. */
class Run {
  constructor (t, command, args, { cwd, env, stdin = 'pipe' } = {}) {
    this.stdout = ''
    this.stderr = ''
    this._waiting = []
    // The programs under test do not get the test runner's environment: Node.js uses no colours where CI is set.
    const { NO_COLOR, FORCE_COLOR, CI, ...plain } = process.env
    this.child = spawn(command, args, { cwd, env: { ...plain, HYPEM_HISTORY: '', ...env }, stdio: [stdin, 'pipe', 'pipe'] })
    for (const name of ['stdout', 'stderr']) {
      this.child[name].setEncoding('utf8')
      this.child[name].on('data', (text) => {
        this[name] += text
        this._look()
      })
    }
    this.child.stdin?.on('error', () => {}) // a program may end before its input does
    this.exit = new Promise((resolve) => this.child.on('close', (code, signal) => {
      this.result = { code: code ?? signal, stdout: this.stdout, stderr: this.stderr }
      this._look()
      resolve(this.result)
    }))
    t.after(() => this.child.kill('SIGKILL'))
  }

  /** Standard output as shown on a terminal. */
  get shown () {
    return stripVTControlCharacters(this.stdout)
  }

  /** Types something. */
  send (text) {
    this.child.stdin.write(text)
    return this
  }

  /** Ends the input, waits for the end of the program. */
  end (text) {
    this.child.stdin.end(text)
    return this.exit
  }

  kill (signal) {
    this.child.kill(signal)
    return this.exit
  }

  /**
   * Waits until the output (stdout, or with `of` stderr or shown) matches. Each search starts after the previous match.
   * @param {RegExp|string} pattern
   * @returns {Promise<RegExpMatchArray>}
   */
  until (pattern, of = 'stdout') {
    const expression = typeof pattern === 'string' ? new RegExp(pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')) : pattern
    return new Promise((resolve, reject) => {
      const waiter = { expression, of, resolve, reject }
      waiter.timer = setTimeout(() => this._giveUp(waiter, 'did not come'), PATIENCE_MS)
      this._waiting.push(waiter)
      this._look()
    })
  }

  _look () {
    this._waiting = this._waiting.filter((waiter) => {
      const from = (this._seen ??= {})[waiter.of] ?? 0
      const match = this[waiter.of].slice(from).match(waiter.expression)
      if (match) {
        this._seen[waiter.of] = from + match.index + match[0].length
        clearTimeout(waiter.timer)
        waiter.resolve(match)
        return false
      }
      if (this.result) setImmediate(() => this._giveUp(waiter, `did not come before the end (${this.result.code})`))
      return !this.result
    })
  }

  _giveUp ({ expression, of, reject, timer }, why) {
    clearTimeout(timer)
    reject(new Error(`${expression} ${why} on ${of}\nstdout: ${JSON.stringify(this.stdout.slice(-2000))}\nstderr: ${JSON.stringify(this.stderr.slice(-2000))}`))
  }
}

/** Starts hypem with pipes. */
function start (t, args, options) {
  return new Run(t, process.execPath, [BIN, ...args], options)
}

/** Runs hypem with pipes to its end. */
function hypem (t, args, { input = '', ...options } = {}) {
  return start(t, args, options).end(input)
}

/** Starts hypem in a pseudo-terminal, made by script(1) of util-linux. */
function terminal (t, args, { env, columns = 200, ...options } = {}) {
  const quoted = [process.execPath, BIN, ...args].map((arg) => `'${arg.replace(/'/g, "'\\''")}'`).join(' ')
  const command = `stty cols ${columns} rows 50; exec ${quoted}`
  return new Run(t, 'script', ['-qfec', command, '/dev/null'], { env: { TERM: 'dumb', ...env }, ...options })
}

/** Starts a session that listens on a free port, and waits until it does. */
async function listening (t, args, options) {
  const run = start(t, [...args, '--port', '0', '--host', '127.0.0.1'], options)
  const [, port] = await run.until(/listening on (\d+)/, args.includes('--no-repl') ? 'stderr' : 'stdout')
  return { run, port }
}

/** A line of ndjson. */
function hello (message, from = 'x') {
  return JSON.stringify({ name: 'Hello', payload: { from, message } }) + '\n'
}

module.exports = { BIN, PATIENCE_MS, SCHEMA, scratch, start, hypem, terminal, listening, hello }
