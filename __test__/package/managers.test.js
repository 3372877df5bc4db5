'use strict'

// Every package manager installs the packages from a registry, and every runtime uses them, without a failure and without a
// warning about them.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { before, after, describe, test } = require('node:test')
const { packForRegistry } = require('../../scripts/pack')
const { PACKAGE, hostName } = require('../../addon')
const { serve } = require('./registry')

const MANAGERS = path.join(__dirname, 'managers/node_modules')

/** Longest that one program may run, in milliseconds. */
const STEP_LIMIT_MS = 120_000

/** Emits on an embedded store, opens it again and reads. */
const PROGRAM = `
const HyperEmitter = require('hyperemitter')
const schema = 'message userAdded { required int32 id = 1; }'
async function main () {
  const first = new HyperEmitter('./store', schema)
  const heard = new Promise((resolve) => first.on('userAdded', resolve))
  await first.append('userAdded', { id: 1 })
  const { id } = await heard
  await first.close()
  const second = new HyperEmitter('./store', schema)
  for await (const { name } of second.read()) console.log(name, id)
  await second.close()
}
main()
`
const PRINTED = 'userAdded 1\n'

let work, registry

/** The program `name` that one of the packages under `scope` holds for this platform, if there is one. */
function binary (scope, name) {
  const folder = path.join(MANAGERS, scope)
  if (!fs.existsSync(folder)) return undefined
  const file = process.platform === 'win32' && !name.endsWith('.exe') ? `${name}.exe` : name
  return fs.readdirSync(folder).flatMap((each) => ['', 'bin'].map((below) => path.join(folder, each, below, file)))
    .find((each) => fs.existsSync(each) && fs.statSync(each).size > 1024 * 1024)
}

const script = (...parts) => [process.execPath, path.join(MANAGERS, ...parts)]
const native = (scope, name) => {
  const file = binary(scope, name)
  return file && [file]
}

/** Commands of the tools; undefined where there is none for this platform. */
const TOOLS = {
  'npm 10': script('npm-10/bin/npm-cli.js'),
  'npm 11': script('npm-11/bin/npm-cli.js'),
  'pnpm 10': script('pnpm-10/bin/pnpm.cjs'),
  'pnpm 12': native('@pnpm', 'pnpm'),
  'yarn 1': script('yarn/bin/yarn.js'),
  'yarn 4': script('@yarnpkg/cli-dist/bin/yarn.js'),
  // Its install script, where it may run, moves the program.
  bun: native('@oven', 'bun') ?? native('bun', 'bun.exe'),
  deno: native('@deno', 'deno')
}

/** Runs a command in `cwd`; resolves to what it printed, and to both outputs together. */
function run ([command, ...args], cwd) {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, env: environment(), timeout: STEP_LIMIT_MS }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${command} ${args.join(' ')}: ${error.message}\n${stdout}\n${stderr}`))
      else resolve({ stdout, all: `${stdout}\n${stderr}` })
    })
  })
}

/** The environment of a machine without settings: caches and settings are in the test's folder. */
function environment () {
  const home = path.join(work, 'home')
  const { PATH, TMPDIR, SystemRoot } = process.env
  return {
    PATH,
    ...TMPDIR && { TMPDIR },
    ...SystemRoot && { SystemRoot },
    HOME: home,
    USERPROFILE: home,
    NPM_CONFIG_REGISTRY: registry.address,
    YARN_NPM_REGISTRY_SERVER: registry.address,
    YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
    YARN_ENABLE_TELEMETRY: 'false',
    YARN_GLOBAL_FOLDER: path.join(home, 'yarn'),
    YARN_CACHE_FOLDER: path.join(home, 'yarn-cache'),
    npm_config_update_notifier: 'false',
    DENO_NO_UPDATE_CHECK: '1'
  }
}

/** A new folder with the program, and `files`. */
function application (name, files = {}) {
  const folder = path.join(work, name.replace(/\W+/g, '-'))
  fs.mkdirSync(folder)
  const all = { 'package.json': '{ "name": "app", "version": "1.0.0", "private": true, "type": "commonjs" }', 'app.js': PROGRAM, ...files }
  for (const [file, text] of Object.entries(all)) fs.writeFileSync(path.join(folder, file), text)
  return folder
}

/** Lines of a package manager that are warnings, or that mention this package other than as added. */
function complaints (output) {
  return output.split('\n').filter((line) => /warn|deprecat|ignored|error|unmet|missing|approve|✕|failed/i.test(line))
}

/** Each way to install: `[title, tool, arguments, files beside, how to run a program]`. */
const WAYS = [
  ['npm 10', 'npm 10', ['install', 'hyperemitter']],
  ['npm 11', 'npm 11', ['install', 'hyperemitter']],
  ['npm 11, without optional dependencies', 'npm 11', ['install', '--omit=optional', 'hyperemitter', 'PLATFORM']],
  ['pnpm 10', 'pnpm 10', ['add', 'hyperemitter']],
  ['pnpm 12', 'pnpm 12', ['add', 'hyperemitter']],
  ['yarn 1', 'yarn 1', ['add', '--non-interactive', 'hyperemitter']],
  ['yarn 4, node_modules', 'yarn 4', ['add', 'hyperemitter'], { '.yarnrc.yml': 'nodeLinker: node-modules\n', 'yarn.lock': '' }],
  ['yarn 4, Plug\'n\'Play', 'yarn 4', ['add', 'hyperemitter'], { '.yarnrc.yml': 'nodeLinker: pnp\n', 'yarn.lock': '' }, () => [...TOOLS['yarn 4'], 'node', 'app.js']],
  ['bun', 'bun', ['add', 'hyperemitter'], {}, () => [...TOOLS.bun, 'app.js']],
  ['deno', 'deno', ['add', 'npm:hyperemitter'], {}, () => [...TOOLS.deno, 'run', '--allow-ffi', '--allow-read', '--allow-write', '--allow-env', 'app.js']]
]

before(async () => {
  work = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-managers-')))
  fs.mkdirSync(path.join(work, 'home'))
  const out = path.join(work, 'packed')
  fs.mkdirSync(out)
  registry = await serve(packForRegistry(out), path.join(work, 'elsewhere'))
  fs.writeFileSync(path.join(work, 'home/.npmrc'), `registry=${registry.address}\n`)
})

after(() => {
  registry?.close()
  if (work) fs.rmSync(work, { recursive: true, force: true })
})

describe('a package manager installs without a complaint, and the program runs', () => {
  for (const [title, tool, args, files, start = () => [process.execPath, 'app.js']] of WAYS) {
    test(title, { skip: !TOOLS[tool] && `there is no ${tool} for ${process.platform}-${process.arch}` }, async (t) => {
      const folder = application(title, files)
      const { all } = await run([...TOOLS[tool], ...args.map((arg) => arg === 'PLATFORM' ? `${PACKAGE}-${hostName()}` : arg)], folder)
      assert.deepEqual(complaints(all), [], all)
      const { stdout } = await run(start(), folder)
      assert.equal(stdout, PRINTED)
    })
  }
})
