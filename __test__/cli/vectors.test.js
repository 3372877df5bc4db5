'use strict'

/** Repeats every recorded run of 1.3.0's hypem. The output must be the same, except for the differences listed here. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { writeFileSync } = require('node:fs')
const net = require('node:net')
const { join } = require('node:path')
const { after, before, describe, test } = require('node:test')
const { runs } = require('../data/cli.json')
const { PATIENCE_MS, hello, listening, scratch, start, terminal } = require('./helpers')

const line = (message) => hello(message)

/** Differences that improve on 1.x, by the name of the run. */
const BETTER = {
  help: { stdout: /^NAME\n[^]*^OPTIONS$[^]*^EXAMPLES$/m, stderr: /^$/, end: 'exit 0' },
  h: { stdout: /^NAME\n[^]*^OPTIONS$[^]*^EXAMPLES$/m, stderr: /^$/, end: 'exit 0' },
  'schema file missing': { stderr: /^hypem: there is no schema file \S+nope\.proto$/ },
  'schema invalid': { stderr: /^hypem: bad\.proto:1:1: .*nonsense.*\(ERR_HYPER_SCHEMA\)$/ },
  'port in use': { stderr: /^hypem: cannot listen on 127\.0\.0\.1:\d+: address already in use \(EADDRINUSE\)$/ },
  'bad port': { stderr: /^hypem: --port 99999: it must be a whole number from 0 to 65535$/ },
  'target unreachable': { stderr: /^hypem: cannot connect to 127\.0\.0\.1:\d+: connection refused \(ECONNREFUSED\)$/ },
  'ndjson, malformed line': { stdout: line('m1') + line('m2'), stderr: /^hypem: line 2: not JSON/, end: 'exit 1' },
  'ndjson, unknown event with a string payload': { stdout: '{"name":"Other","payload":"dGV4dA==","encoding":"base64"}\n' },
  'ndjson, unknown event with an object payload': { stderr: /^hypem: line 1: The "string" argument must be of type string.*There is no message 'Other' in the schema: it has 'Hello'/ },
  'ndjson, required field missing': { stderr: /^hypem: line 1: Integer.value: value is required$/ },
  'ndjson, no name': { stderr: /^hypem: line 1: name is required$/ },
  'ndjson, null': { stderr: /^hypem: line 1: not an event: null$/, end: 'exit 1' },
  'ndjson, array': { stderr: /^hypem: line 1: name is required$/ },
  'from-scratch before the schema swallows it': { stdout: '', stderr: /^$/, end: 'exit 0' },
  'repl through pipes, port': {
    stdout: (text) => text + "> Hello { from: 'Matteo', message: '' }\n> ",
    typeAfter: (text) => text, // 1.x ended here, at the first event
    stderr: /^$/,
    end: 'still running'
  },
  'repl through pipes, no port': { stdout: '> 2\n> Uncaught ReferenceError: nosuch is not defined\n> > 5\n> ' },
  'repl in a terminal': {
    // 1.x printed a syntax error twice, and no values.
    stdout: (text) => text.replace('> 1 + 1\r\r\n', '> 1 + 1\r\r\n2\r\n').replace(/parse error REPL4:1\r\n[^]*\r\nSyntaxError: [^\r]*\r\n/, '')
  }
}

/** 1.x stopped after 16 lines. */
function allLines (count) {
  return Array.from({ length: count }, (_, index) => line(`m${index}`)).join('')
}

/** What 1.x wrote to stderr was recorded without its stacks: lines of this form. */
function errors (stderr) {
  return stderr.split('\n').filter((text) => /^(\w* )?\w*Error( \[\w+\])?:|^Missing|^Usage/.test(text)).join('\n')
}

describe('as 1.3.0 did', () => {
  let dir, server, busy, closed
  const cleanup = []
  const t = { after: (fn) => cleanup.push(fn) }

  before(async () => {
    dir = scratch(t)
    writeFileSync(join(dir, 'bad.proto'), 'nonsense')
    writeFileSync(join(dir, 'enum.proto'), 'enum E { A = 0; }\nmessage Hello { optional string from = 1; }\n')
    busy = net.createServer().listen(0, '127.0.0.1')
    await once(busy, 'listening')
    const other = net.createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    closed = other.address().port
    other.close()
    server = await listening(t, [join(dir, 'messages.proto'), '--no-repl', '--db', join(dir, 'dbs')])
    server.run.send(line('m0') + line('m1'))
    await server.run.until('m1')
  })
  after(async () => {
    busy.close()
    for (const fn of cleanup.reverse()) await fn()
  })

  /** The recording's ports, replaced by those of today. */
  function args (run) {
    const ports = { 13003: busy.address().port, 13006: server.port, 13099: closed, 99999: 99999 }
    return run.args.map((arg) => /^(13\d\d\d|99999)$/.test(arg) ? String(ports[arg] ?? 0) : arg.replace('TMP', dir))
  }

  /** The output without the parts that differ from run to run. */
  function normal (text) {
    return text.replaceAll(dir, 'TMP').replace(/\bc[a-z0-9]{24}\b/g, 'CUID')
      .replace(/(listening on |port"?: ?|127\.0\.0\.1:|connected to 127\.0\.0\.1 )\d{4,5}\b/g, '$1PORT')
  }

  for (const run of runs) {
    test(run.name, async () => {
      const better = BETTER[run.name] ?? {}
      const recorded = typeof run.input === 'number' ? allLines(run.input) : normal(run.stdout)
      const stdout = typeof better.stdout === 'function' ? better.stdout(recorded) : better.stdout ?? recorded
      const end = better.end ?? run.end
      const program = (run.tty ? terminal : start)(t, args(run))
      const typed = [...run.typed ?? []]
      if (run.tty) {
        let at = 0
        for (const text of typed) {
          // Types the next line only when the expected output has been printed exactly.
          at = stdout.indexOf(text, at)
          await printed(program, normal, stdout.slice(0, at))
          program.send(`${text}\r`)
          at += text.length
        }
      } else {
        if (better.typeAfter) await printed(program, normal, better.typeAfter(recorded))
        const input = typeof run.input === 'number' ? allLines(run.input) : run.input ?? ''
        program.send(typed.length > 0 ? typed.map((text) => `${text}\n`).join('') : input)
        if (!run.open) program.child.stdin.end()
      }
      if (end === 'still running') {
        if (run.args.includes('--port') && run.args.includes('--no-repl')) await program.until('listening on', 'stderr')
        await printed(program, normal, stdout)
        assert.equal((await program.kill('SIGTERM')).code, 143)
      } else {
        assert.equal(`exit ${(await program.exit).code}`, end)
        if (stdout instanceof RegExp) assert.match(program.stdout, stdout)
        else assert.equal(normal(program.stdout), stdout)
      }
      if (better.stderr) assert.match(program.stderr.trim(), better.stderr)
      else assert.equal(normal(errors(program.stderr)), normal(run.stderr ?? ''))
    })
  }
})

/** Waits until the program has printed exactly this. */
async function printed (program, normal, text) {
  const late = AbortSignal.timeout(PATIENCE_MS)
  while (normal(program.stdout) !== text && !program.result && !late.aborted) {
    await Promise.race([once(program.child.stdout, 'data', { signal: late }), program.exit]).catch(() => {})
  }
  assert.equal(normal(program.stdout), text)
}
