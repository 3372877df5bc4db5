'use strict'

/**
 * Runs the tests of attacks and of long lifetimes with many times the load that they have in `npm test`.
 *
 *   npm run attack                   20 times
 *   npm run attack -- --times 100
 *
 * The environment variable HYPER_ATTACK tells the tests the factor. After them, attacks at full size run in processes of their own
 * (`attack/full.js`). Needs the addon (`npm run build`).
 */

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { parseArgs } = require('node:util')

const root = path.join(__dirname, '..')

const { values } = parseArgs({ options: { times: { type: 'string', default: '20' } } })
/** Attacks of the middleman: `npm test` runs 200. */
const MIDDLEMAN = 5000
const env = { ...process.env, HYPER_ATTACK: values.times, HYPER_MIDDLEMAN: String(MIDDLEMAN * Number(values.times)) }

/** Rust tests of attacks, by name. */
const rust = fs.readdirSync(path.join(root, 'tests')).filter((file) => /attacks?\.rs$|^pieces\.rs$|^net_middleman\.rs$|^net_slow\.rs$/.test(file)).map((file) => path.basename(file, '.rs'))
const attacks = path.join('__test__', 'attacks')
const javascript = fs.existsSync(path.join(root, attacks)) ? fs.readdirSync(path.join(root, attacks)).filter((file) => file.endsWith('.test.js')).map((file) => path.join(attacks, file)) : []

function run (command, args) {
  return spawnSync(command, args, { cwd: root, env, stdio: 'inherit' }).status === 0
}

const passed = [
  run('cargo', ['test', '--release', '--no-default-features', ...rust.flatMap((name) => ['--test', name])]),
  run(process.execPath, ['--test', path.join('__test__', 'emitter', 'release.test.js'), ...javascript]),
  run(process.execPath, [path.join(__dirname, 'attack', 'full.js')])
]
process.exitCode = passed.every(Boolean) ? 0 : 1
