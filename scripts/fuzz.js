'use strict'

/**
 * The long form of the fuzz tests: runs every target of fuzz/ for some time. Each continues with its corpus from the last run.
 *
 *   npm run fuzz                          a minute each
 *   npm run fuzz -- --seconds 3600 schema session
 *
 * Needs the nightly toolchain and a C++ compiler; cargo-fuzz is installed when it is missing.
 */

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { parseArgs } = require('node:util')

const root = path.join(__dirname, '..')

/** Address space given to a target, in MiB: an input that needs more is a finding. */
const MEMORY_MIB = 2048

function run (...args) {
  return spawnSync('cargo', args, { cwd: root, stdio: 'inherit' }).status === 0
}

const { values, positionals } = parseArgs({ options: { seconds: { type: 'string', default: '60' } }, allowPositionals: true })
const targets = fs.readdirSync(path.join(root, 'fuzz/fuzz_targets')).map((file) => path.basename(file, '.rs'))
const chosen = positionals.length > 0 ? positionals : targets

if (spawnSync('cargo', ['fuzz', '--version']).status !== 0 && !run('install', '--locked', 'cargo-fuzz')) process.exit(1)
const failed = chosen.filter((target) => {
  console.log(`\n── ${target}`)
  return !run('+nightly', 'fuzz', 'run', target, '--', `-max_total_time=${values.seconds}`, `-rss_limit_mb=${MEMORY_MIB}`)
})
console.log(`\n${chosen.length - failed.length} passed, ${failed.length} failed${failed.map((target) => `\nfailed: ${target} (input in fuzz/artifacts/${target})`).join('')}`)
process.exitCode = failed.length > 0 ? 1 : 0
