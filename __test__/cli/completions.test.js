'use strict'

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { writeFileSync, mkdirSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const completions = require('../../lib/cli/completions')
const commands = require('../../lib/cli/commands')
const { scratch } = require('./helpers')

/** Whether a shell is installed: Debian has bash, the others are optional. */
function there (shell) {
  return spawnSync(shell, ['-c', 'true']).status === 0
}

/** bash's completions for a command line that ends at the cursor. */
function inBash (dir, ...words) {
  writeFileSync(join(dir, 'completions'), completions.bash())
  // eslint-disable-next-line no-template-curly-in-string
  const script = 'source ./completions; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hypem; printf "%s\\n" "${COMPREPLY[@]}"'
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', 'hypem', ...words], { cwd: dir, encoding: 'utf8' })
  assert.equal(stderr, '')
  return stdout.split('\n').filter(Boolean)
}

test('bash completes commands, options, words, files and folders', (t) => {
  const dir = scratch(t)
  mkdirSync(join(dir, 'store'))
  assert.deepEqual(inBash(dir, 'sta'), ['stats'])
  assert.deepEqual(inBash(dir, 'mes'), ['messages.proto'])
  assert.deepEqual(inBash(dir, 'messages.proto', '--no'), ['--no-repl'])
  assert.deepEqual(inBash(dir, 'messages.proto', '--db', ''), ['store'])
  assert.deepEqual(inBash(dir, 'stats', 's'), ['store'])
  assert.deepEqual(inBash(dir, 'graph', 'store', '--format', ''), ['dot', 'svg', 'json'])
  assert.deepEqual(inBash(dir, 'log', 'store', '--schema', 'm'), ['messages.proto'])
  assert.deepEqual(inBash(dir, 'help', 'veri'), ['verify'])
  assert.deepEqual(inBash(dir, 'export', 'store', '--lev'), ['--level'])
})

test('every option of every command is in every script', () => {
  for (const shell of Object.keys(completions)) {
    const script = completions[shell]()
    for (const { options } of commands.all()) {
      for (const name of Object.keys(options)) assert.match(script, new RegExp(shell === 'fish' ? `-l ${name}\\b` : `--${name}\\b`))
    }
  }
})

test('zsh accepts its script', { skip: there('zsh') ? false : 'zsh is not installed' }, (t) => {
  const dir = scratch(t)
  writeFileSync(join(dir, '_hypem'), completions.zsh())
  const { status, stderr } = spawnSync('zsh', ['-n', '_hypem'], { cwd: dir, encoding: 'utf8' })
  assert.equal(stderr, '')
  assert.equal(status, 0)
})

test('fish completes with its script', { skip: there('fish') ? false : 'fish is not installed' }, (t) => {
  const dir = scratch(t)
  writeFileSync(join(dir, 'c.fish'), completions.fish())
  const offered = (line) => {
    const { stdout, stderr } = spawnSync('fish', ['-c', `source c.fish; complete -C '${line}'`], { cwd: dir, encoding: 'utf8', env: { ...process.env, HOME: dir } })
    assert.equal(stderr, '')
    return stdout.split('\n').filter(Boolean).map((text) => text.split('\t')[0])
  }
  assert.deepEqual(offered('hypem sta'), ['stats'])
  assert.deepEqual(offered('hypem graph db --format '), ['dot', 'json', 'svg'])
  assert.deepEqual(offered('hypem messages.proto --no-r'), ['--no-repl'])
})
