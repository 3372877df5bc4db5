'use strict'

/** hypem's help, and its answers to wrong command lines: one line that says what to do, and an exit code. */

const assert = require('node:assert/strict')
const { mkdirSync, readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { EXIT, explain } = require('../../lib/cli/exit')
const { installCommand, load } = require('../../lib/cli/packages')
const commands = require('../../lib/cli/commands')
const { OPTIONS } = require('../../lib/cli/session-args')
const { nearest } = require('../../lib/nearest')
const { hello, hypem, listening, scratch } = require('./helpers')

test('--help shows every option and every command, and succeeds', async (t) => {
  const pages = []
  for (const args of [['--help'], ['-h'], ['help'], ['any.proto', '--help']]) {
    const { code, stdout, stderr } = await hypem(t, args)
    assert.deepEqual([code, stderr], [0, ''], args.join(' '))
    pages.push(stdout)
  }
  assert.equal(new Set(pages).size, 1)
  for (const name of Object.keys(OPTIONS)) assert.match(pages[0], new RegExp(`--(no-)?${name}\\b`))
  for (const name of commands.NAMES) assert.match(pages[0], new RegExp(`^ +${name}$`, 'm'))
  const own = await hypem(t, ['log', '--help'])
  assert.deepEqual(own, await hypem(t, ['help', 'log']))
  assert.equal(own.code, 0)
})

test('docs/CLI.md has every command, option of a session and exit code, and no others', () => {
  const text = readFileSync(join(__dirname, '../../docs/CLI.md'), 'utf8')
  const section = (title) => text.split(/^## /m).find((each) => each.startsWith(title))
  const first = (title) => [...section(title).matchAll(/^\| (.*?) \|/gm)].map(([, cell]) => cell).filter((cell) => !/^(---|option|command|code)/.test(cell))
  assert.deepEqual(first('Commands').map((cell) => /^`(\w+)/.exec(cell)[1]), commands.NAMES)
  assert.deepEqual(first('A session').flatMap((cell) => cell.match(/--[\w-]+/g)).map((name) => name.replace(/^--(no-)?/, '')).sort(), Object.keys(OPTIONS).sort())
  assert.deepEqual(first('Errors').flatMap((cell) => cell.split(', ')).map(Number).sort(), Object.values(EXIT).sort())
  for (const [, command, option] of text.matchAll(/`(log|graph|export|import|relay|verify) (--[\w-]+)/g)) assert.ok(option.slice(2) in commands.find(command).options, option)
})

test('the command version and the option --version print the version', async (t) => {
  for (const args of [['version'], ['--version'], ['-V'], ['-v'], ['any.proto', '--version']]) {
    assert.deepEqual(await hypem(t, args), { code: 0, stdout: `${require('../../package.json').version}\n`, stderr: '' })
  }
})

test('without arguments, hypem prints 1.x\'s usage text and how to get help, and exits as 1.x did', async (t) => {
  const { code, stdout, stderr } = await hypem(t, [])
  assert.deepEqual(await hypem(t, ['--vesion']), { code, stdout, stderr: `hypem: there is no option --vesion; did you mean --version? It is ignored.\n${stderr}` })
  assert.equal(code, 1)
  assert.match(stdout, /^\nUsage: hypem <SCHEMA>/)
  assert.equal(stderr, 'Missing schema\nAll options and commands: hypem --help\n')
})

test('misspelt commands and options are reported, with the name that was probably meant', async (t) => {
  const dir = scratch(t)
  const cases = [
    [['stast', 'db'], 1, /^hypem: stast is neither a command nor a schema file; did you mean hypem stats\?\n$/],
    [['frobnicate'], 1, /^hypem: frobnicate is neither a command nor a schema file; hypem --help lists the commands\n$/],
    [['help', 'lgo'], 2, /^hypem: there is no command lgo; did you mean log\?\n/],
    [['log', 'db', '--flolow'], 2, /^hypem: there is no option --flolow; did you mean --follow\?\n/],
    [['log', 'db', '--orign=x'], 2, /did you mean --origin\?\n/],
    [['messages.proto', '--no-repl', '--fromscratch'], 0, /^hypem: there is no option --fromscratch; did you mean --from-scratch\? It is ignored\.\n$/],
    [['messages.proto', '--no-repl', '--quiet'], 0, /^hypem: there is no option --quiet; it is ignored\.\n$/]
  ]
  for (const [args, exit, message] of cases) {
    const { code, stderr } = await hypem(t, args, { cwd: dir })
    assert.equal(code, exit, args.join(' '))
    assert.match(stderr, message)
  }
})

test('a word is similar to another if it differs in few letters, and only then', () => {
  const names = commands.NAMES
  for (const [word, meant] of [['stast', 'stats'], ['lgo', 'log'], ['Verify', 'verify'], ['expotr', 'export'], ['completion', 'completions']]) assert.equal(nearest(word, names), meant)
  for (const word of ['database', 'x', '', 'q'.repeat(1e6)]) assert.equal(nearest(word, names), undefined)
})

test('wrong files, folders, ports and addresses are reported in one line, without Node.js\'s messages', async (t) => {
  const dir = scratch(t)
  mkdirSync(join(dir, 'folder'))
  writeFileSync(join(dir, 'lines'), hello('1'))
  await hypem(t, ['import', 'db', 'lines'], { cwd: dir })
  const cases = [
    [['nope.proto'], 1, 'there is no schema file nope.proto'],
    [['folder', '--no-repl'], 1, 'folder is a folder, not a schema file'],
    [['messages.proto', '--no-repl', '--port', 'abc'], 1, '--port abc: it must be a whole number from 0 to 65535'],
    [['messages.proto', '--no-repl', '--target-port', '70000'], 1, '--target-port 70000: it must be a whole number from 0 to 65535'],
    [['import', 'db', 'nofile'], 1, 'cannot find nofile: no such file or directory (ENOENT)'],
    [['log', 'db', '--schema', 'nofile'], 1, 'cannot find nofile: no such file or directory (ENOENT)'],
    [['types', 'nofile'], 1, 'cannot find nofile: no such file or directory (ENOENT)'],
    [['graph', 'db', '--out', 'no/such/file'], 1, 'cannot open no/such/file: no such file or directory (ENOENT)'],
    [['export', 'db', 'no/such/file'], 1, /^cannot open .*no\/such\/file: no such file or directory \(ENOENT\)$/],
    [['stats', 'lines'], 1, 'lines is a file, not the folder of a store'],
    [['relay', '--connect', 'nowhere'], 2, '--connect nowhere: it must be HOST:PORT or KEY@HOST:PORT'],
    [['bench', '--dir', 'nodir', '--events', '1'], 1, /^cannot make a folder at nodir\S+: no such file or directory \(ENOENT\)$/]
  ]
  for (const [args, exit, message] of cases) {
    const { code, stderr } = await hypem(t, args, { cwd: dir })
    const [first, ...rest] = stderr.trimEnd().split('\n')
    assert.match(first, /^hypem: /)
    if (typeof message === 'string') assert.equal(first.slice(7), message)
    else assert.match(first.slice(7), message)
    assert.equal(code, exit, args.join(' '))
    assert.ok(rest.every((line) => exit === 2 && line.startsWith('See: hypem ')), stderr)
  }
})

test('the error for a store in use says what to do', async (t) => {
  const dir = scratch(t)
  await listening(t, ['messages.proto', '--no-repl', '--db', 'db'], { cwd: dir })
  for (const args of [['import', 'db'], ['consumers', 'remove', 'db', 'x'], ['adopt', 'db', 'x', '--connect', '1']]) {
    const { code, stderr } = await hypem(t, args, { cwd: dir })
    assert.equal(code, 1)
    assert.match(stderr, /^hypem: \S*db is in use by another process[^\n]*commands that only read it work[^\n]*hypem log --follow --connect HOST:PORT \(ERR_HYPER_LOCKED\)\n$/)
  }
})

test('errors of other kinds keep their name or code', () => {
  assert.equal(explain(new RangeError('too far')), 'RangeError: too far')
  assert.equal(explain(Object.assign(new Error('x\ny'), { code: 'ERR_HYPER_VALUE' })), 'x y (ERR_HYPER_VALUE)')
  assert.equal(explain('thrown'), 'thrown')
  assert.equal(explain(undefined), 'undefined')
})

test('the command that installs a missing package puts it where this hypem finds it', (t) => {
  const dir = scratch(t)
  const at = (...path) => {
    mkdirSync(join(dir, ...path), { recursive: true })
    return join(dir, ...path)
  }
  writeFileSync(join(at('project'), 'package.json'), '{}')
  assert.equal(installCommand('classic-level', at('project', 'node_modules', 'hyperemitter')), 'npm install classic-level')
  assert.equal(installCommand('classic-level', at('usr', 'lib', 'node_modules', 'hyperemitter')), 'npm install --global classic-level')
  assert.equal(installCommand('classic-level', at('source')), 'npm install classic-level')
  assert.equal(installCommand('x', at('project', 'node_modules', '.pnpm', 'h@2', 'node_modules', 'hyperemitter')), 'pnpm add x')
  assert.equal(installCommand('x', at('pnpm', 'global', '5', '.pnpm', 'h@2', 'node_modules', 'hyperemitter')), 'pnpm add --global x')
})

test('a package that is not installed is named, with what needs it and how to install it', async (t) => {
  await assert.rejects(load('no-such-package', 'dancing'), { exitCode: 1, message: /^dancing needs the package no-such-package, which is not installed: run npm install (--global )?no-such-package$/ })
  const dir = scratch(t)
  mkdirSync(join(dir, 'node_modules', 'no-such-package-here'), { recursive: true })
  writeFileSync(join(dir, 'node_modules', 'no-such-package-here', 'index.js'), 'exports.there = true')
  const before = process.cwd()
  process.chdir(dir)
  try {
    assert.equal((await load('no-such-package-here', 'x')).there, true, 'the project that hypem is run in has it')
  } finally {
    process.chdir(before)
  }
})
