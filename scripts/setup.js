'use strict'

/**
 * Prepares a checkout for all other commands: installs npm packages and builds the addon. It needs only Node.js and the
 * checkout, so it can run first. Whatever is up to date is skipped.
 *
 *   node scripts/setup.js               packages of the root, then the addon (release)
 *   node scripts/setup.js --debug       the same with an unoptimised addon
 *   node scripts/setup.js --tests       also the packages that tests need
 *   node scripts/setup.js --bench       also the packages with which benches compare
 *   node scripts/setup.js --no-addon    npm packages only, without Rust
 *
 * Other arguments are passed to `napi build`: `npm run build -- --target aarch64-apple-darwin`.
 */

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { isBuilt, markBuilt } = require('./stamp')

const root = path.join(__dirname, '..')

/** Runs a command in `cwd`; ends this process with its exit code when it fails. */
function run (command, args, cwd = root) {
  // npm and npx are command files on Windows, which only a shell can start.
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' })
  if (error) console.error(`cannot run ${command}: ${error.message}`)
  if (error || status !== 0) process.exit(status || 1)
}

/** Installs the packages of the lock file in `folder`, unless that has been done since the lock file changed. */
function install (folder) {
  const lock = path.join(folder, 'package-lock.json')
  const mark = path.join(folder, 'node_modules', '.package-lock.json')
  if (fs.existsSync(mark) && fs.statSync(mark).mtimeMs >= fs.statSync(lock).mtimeMs) return
  console.log(`installing npm packages in ${path.relative(root, folder) || 'the checkout'}`)
  run('npm', ['ci', '--no-audit', '--no-fund'], folder)
}

/** Whether the packages in `folder` are for this version of Node.js, by `engines` of its manifest (such as `"node": "<21"`). */
function isForUs (folder) {
  const { engines } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'))
  const [, limit] = /^<(\d+)$/.exec(engines?.node) ?? []
  return limit === undefined || Number.parseInt(process.versions.node) < Number(limit)
}

/** Folders under `folder` with a lock file of their own: packages that tests and examples need besides this one. */
function lockedFolders (folder) {
  return fs.readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules')
    .map((entry) => path.join(folder, entry.name))
    .flatMap((child) => [
      ...fs.existsSync(path.join(child, 'package-lock.json')) ? [child] : [],
      ...lockedFolders(child)
    ])
}

/**
 * Builds the addon. Without options for the napi tooling, it is skipped if the addon was built from the current checkout; with
 * options, Cargo decides what to build.
 */
function build (profile, more) {
  const plain = more.length === 0
  if (plain && isBuilt(root, profile)) return
  const { status } = spawnSync('cargo', ['--version'], { shell: process.platform === 'win32' })
  if (status !== 0) {
    console.error('Rust is needed to build hyperemitter from source: https://rustup.rs')
    process.exit(1)
  }
  run('npx', ['napi', 'build', '--platform', '--no-const-enum', '--no-js', '--dts', 'binding.d.ts',
    ...profile === 'release' ? ['--release'] : [], ...more, '--', '--locked'])
  if (plain) markBuilt(root, profile)
}

const OWN = ['--debug', '--tests', '--bench', '--no-addon']
const given = process.argv.slice(2)
install(root)
if (given.includes('--tests')) ['__test__', 'examples'].flatMap((name) => lockedFolders(path.join(root, name))).filter(isForUs).forEach(install)
if (given.includes('--bench')) install(path.join(root, 'bench'))
if (!given.includes('--no-addon')) {
  build(given.includes('--debug') ? 'debug' : 'release', given.filter((flag) => !OWN.includes(flag)))
}
