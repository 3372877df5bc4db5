'use strict'

// docs/guides/bundling.md, followed to the letter: every bundle runs where the packages are installed, and elsewhere with the
// addon beside it.

const assert = require('node:assert/strict')
const { execFile, execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { before, after, describe, test } = require('node:test')
const { hostName, PACKAGE } = require('../../addon')
const { packForRegistry } = require('../../scripts/pack')

const root = path.join(__dirname, '../..')
const BUNDLERS = path.join(__dirname, 'bundlers/node_modules')
const ADDON = `hyperemitter.${hostName()}.node`

/** Longest that one program may run, in milliseconds. */
const STEP_LIMIT_MS = 240_000

const BODY = `
const emitter = new HyperEmitter(':memory:', 'message userAdded { required int32 id = 1; }')
const heard = new Promise((resolve) => emitter.on('userAdded', resolve))
emitter.append('userAdded', { id: 1 })
heard.then(({ id }) => { console.log('heard', id); return emitter.close() })
`
const PROGRAMS = {
  'app.js': `const HyperEmitter = require('hyperemitter')\n${BODY}`,
  'app.mjs': `import HyperEmitter from 'hyperemitter'\n${BODY}`
}

/** What the guide says under each heading, for this platform: `[kind, text]` of each block. */
const guide = new Map(fs.readFileSync(path.join(root, 'docs/guides/bundling.md'), 'utf8')
  .replaceAll('linux-x64-gnu', hostName())
  .split(/^## /m)
  .map((section) => [
    section.split('\n')[0],
    [...section.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, kind, text]) => [kind, text])
  ]))

let work

function run (command, args, cwd) {
  const bin = [path.join(BUNDLERS, '.bin'), path.dirname(process.execPath), process.env.PATH].join(path.delimiter)
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, env: { ...process.env, PATH: bin }, timeout: STEP_LIMIT_MS }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${command} ${args.join(' ')}: ${error.message}\n${stdout}\n${stderr}`))
      else resolve({ stdout, all: `${stdout}\n${stderr}` })
    })
  })
}

/** What `npx webpack` does: its command line is a package of its own. */
async function webpack (folder) {
  const config = { ...require(path.join(folder, 'webpack.config.js')), context: folder }
  const stats = await new Promise((resolve, reject) => {
    require(path.join(BUNDLERS, 'webpack'))(config, (error, stats) => error ? reject(error) : resolve(stats))
  })
  return { all: stats.toString({ all: false, errors: true, warnings: true }) }
}

/** Does what the guide says in `blocks`; resolves to everything that was printed. */
async function follow (blocks, folder) {
  let printed = ''
  for (const [kind, text] of blocks) {
    if (kind === 'json') fs.writeFileSync(path.join(folder, 'sea-config.json'), text)
    const file = kind === 'js' && /^\/\/ (\S+)\n/.exec(text)
    if (file) fs.writeFileSync(path.join(folder, file[1]), text)
    if (kind !== 'sh') continue
    const { all } = text.trim() === 'webpack' ? await webpack(folder) : await run('/bin/sh', ['-ec', text], folder)
    printed += all
  }
  return printed
}

/** A folder with the programs and the packages. */
function application (name) {
  const folder = path.join(work, name)
  fs.mkdirSync(folder)
  for (const [file, text] of Object.entries(PROGRAMS)) fs.writeFileSync(path.join(folder, file), text)
  fs.symlinkSync(path.join(work, 'node_modules'), path.join(folder, 'node_modules'))
  return folder
}

/** The file `bundle` and nothing else but, if asked for, the addon, where no package can be seen. */
function shipped (bundle, { addon }) {
  const folder = fs.mkdtempSync(path.join(work, 'shipped-'))
  fs.copyFileSync(bundle, path.join(folder, path.basename(bundle)))
  if (addon) fs.copyFileSync(path.join(work, 'node_modules', `${PACKAGE}-${hostName()}`, ADDON), path.join(folder, ADDON))
  // The packages above this folder are out of sight.
  const away = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-shipped-'))
  fs.renameSync(folder, path.join(away, 'app'))
  return path.join(away, 'app', path.basename(bundle))
}

const HEARD = 'heard 1\n'
const away = []

/** Heading, which of its blocks, and the bundle that they make. */
const WAYS = {
  esbuild: ['esbuild', (blocks) => blocks.slice(0, 1), 'out/app.js'],
  'esbuild, as a module': ['esbuild', (blocks) => blocks.slice(1), 'out/app.mjs'],
  webpack: ['webpack', (blocks) => blocks, 'out/app.js'],
  rollup: ['Rollup', (blocks) => blocks, 'out/app.mjs'],
  vite: ['Vite, for a server', (blocks) => blocks, 'out/app.mjs']
}

describe('bundles', { skip: process.platform === 'win32' && 'the guide is written for a shell' }, () => {
  before(() => {
    work = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-bundlers-')))
    const { main, platforms } = packForRegistry(fs.mkdtempSync(path.join(work, 'packed-')))
    fs.writeFileSync(path.join(work, 'package.json'), '{ "private": true }')
    execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', main.file, ...platforms.map(({ file }) => file)],
      { cwd: work, stdio: 'ignore' })
    fs.symlinkSync(path.join(BUNDLERS, '@rollup'), path.join(work, 'node_modules/@rollup'))
  })

  after(() => {
    for (const folder of [work, ...away]) if (folder) fs.rmSync(folder, { recursive: true, force: true })
  })

  for (const [title, [heading, select, bundle]] of Object.entries(WAYS)) {
    test(title, async () => {
      const folder = application(title.replace(/\W+/g, '-'))
      const printed = await follow(select(guide.get(heading)), folder)
      assert.doesNotMatch(printed, /warn|error|unresolved|critical/i)
      const file = path.join(folder, bundle)
      assert.equal((await run(process.execPath, [file], folder)).stdout, HEARD)
      const elsewhere = shipped(file, { addon: true })
      away.push(path.dirname(path.dirname(elsewhere)))
      assert.equal((await run(process.execPath, [elsewhere], os.tmpdir())).stdout, HEARD)
    })
  }

  test('a bundle without the addon says which file belongs where', async () => {
    const folder = application('without')
    await follow(guide.get('esbuild').slice(0, 1), folder)
    const bundle = shipped(path.join(folder, 'out/app.js'), { addon: false })
    away.push(path.dirname(path.dirname(bundle)))
    const { message } = await run(process.execPath, [bundle], os.tmpdir()).then(() => assert.fail('it ran'), (error) => error)
    assert.ok(message.includes(`put ${ADDON} of the package ${PACKAGE}-${hostName()} into ${path.dirname(bundle)}`), message)
  })

  test('the command of the guide puts the addon beside the bundle', async () => {
    const folder = application('copied')
    fs.mkdirSync(path.join(folder, 'out'))
    await follow(guide.get('# Bundling'), folder)
    assert.ok(fs.existsSync(path.join(folder, 'out', ADDON)))
  })

  // The executable is Node.js itself with a note in it; elsewhere than on Linux it must be signed anew.
  test('a single executable', { skip: process.platform !== 'linux' && 'the guide describes Linux' }, async (t) => {
    const folder = application('executable')
    await follow(guide.get('A Node.js single executable'), folder)
    const file = shipped(path.join(folder, 'out/app'), { addon: false })
    away.push(path.dirname(path.dirname(file)))
    const temporary = fs.mkdtempSync(path.join(work, 'temporary-'))
    assert.equal((await run('/usr/bin/env', [`TMPDIR=${temporary}`, file], os.tmpdir())).stdout, HEARD)
    assert.deepEqual(fs.readdirSync(temporary), [])
  })
})
