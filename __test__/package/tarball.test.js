'use strict'

// The packed package as users get it: installed into empty folders, with a PATH that has Node.js and npm and nothing
// that could compile.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { before, after, describe, test } = require('node:test')
const { packForRegistry, packBundled } = require('../../scripts/pack')

const root = path.join(__dirname, '../..')

/** Largest addon that we ship, stripped; a download is about a third of it. */
const MAX_ADDON_BYTES = 6_900_000

const SCHEMA = 'message userAdded { required int32 id = 1; required string username = 2; }'

/** Emits on an embedded store, opens it again and reads: what `HyperEmitter` must be able to do in every setting. */
const ROUND_TRIP = `
async function roundTrip (folder) {
  const first = new HyperEmitter(folder, ${JSON.stringify(SCHEMA)})
  const heard = new Promise((resolve) => first.on('userAdded', resolve))
  await first.append('userAdded', { id: 1, username: 'a' })
  const { username } = await heard
  await first.close()
  const second = new HyperEmitter(folder, ${JSON.stringify(SCHEMA)})
  const names = []
  for await (const { name } of second.read()) names.push(name)
  await second.close()
  return [username, ...names].join(' ')
}
`

let work, bin, packed, bundled

/** Longest that one step may take, in milliseconds: an installation over a slow network. */
const STEP_LIMIT_MS = 180_000

/** Runs a program with the bare PATH; fails the test unless it exits with `status`. Returns what it printed. */
function run (command, args, { cwd = work, status = 0, input = '' } = {}) {
  const child = spawnSync(command, args, { cwd, input, encoding: 'utf8', env: { ...process.env, PATH: bin }, timeout: STEP_LIMIT_MS })
  assert.equal(child.status, status, `${command} ${args.join(' ')}\n${child.error || ''}\n${child.stdout}\n${child.stderr}`)
  return child.stdout
}

/** A new folder with `tarballs` installed and nothing else. */
function application (name, tarballs, more = []) {
  const folder = path.join(work, name)
  fs.mkdirSync(folder)
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }')
  run('npm', ['install', '--no-audit', '--no-fund', ...more, ...tarballs], { cwd: folder })
  return folder
}

function script (folder, name, text) {
  const file = path.join(folder, name)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text)
  return run(process.execPath, [file], { cwd: folder }).trim()
}

before(() => {
  work = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-tarball-'))
  bin = path.join(work, 'bin')
  fs.mkdirSync(bin)
  // npm and npx find their own files through where the links point to; npm starts programs through sh.
  const which = (name) => process.env.PATH.split(path.delimiter).map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file))
  for (const name of ['node', 'npm', 'npx', 'sh']) fs.symlinkSync(fs.realpathSync(which(name)), path.join(bin, name))
  const out = path.join(work, 'packed')
  fs.mkdirSync(out)
  packed = packForRegistry(out)
  bundled = packBundled(out)
})

after(() => fs.rmSync(work, { recursive: true, force: true }))

describe('the packed tarballs', { skip: process.platform === 'win32' && 'the bare PATH is made of symbolic links' }, () => {
  let app

  test('install without cargo and without a compiler', (t) => {
    for (const tool of ['cargo', 'rustc', 'cc', 'gcc', 'clang', 'make', 'python3', 'node-gyp']) {
      run('/bin/sh', ['-c', `command -v ${tool}`], { status: 127 })
    }
    t.diagnostic(`PATH holds ${fs.readdirSync(bin).join(', ')}`)
    const tarballs = [packed.main, ...packed.platforms].map(({ file }) => file)
    app = application('app', tarballs)
    for (const { file, unpackedSize } of [packed.main, ...packed.platforms, bundled.main]) {
      t.diagnostic(`${path.basename(file)}: ${fs.statSync(file).size} bytes packed, ${unpackedSize} unpacked`)
    }
  })

  test('the addon is small', () => {
    for (const { unpackedSize } of packed.platforms) assert.ok(unpackedSize <= MAX_ADDON_BYTES, `${unpackedSize} bytes`)
  })

  test('the package contains only files that users need', () => {
    const files = fs.readdirSync(path.join(app, 'node_modules/hyperemitter'), { recursive: true }).filter((file) => /^(__test__|tests|bench|benches|target|scripts|fuzz|src|docs.design)|\.(rs|test\.js|node)$/.test(file))
    assert.deepEqual(files, [])
  })

  test('require', () => {
    assert.equal(script(app, 'require.js', `const HyperEmitter = require('hyperemitter')
      ${ROUND_TRIP}
      roundTrip('./store-require').then(console.log)`), 'a userAdded')
  })

  test('import, with one class and one native instance under both', () => {
    assert.equal(script(app, 'import.mjs', `import HyperEmitter, { HyperEmitter as Named } from 'hyperemitter'
      import { createRequire } from 'node:module'
      const require = createRequire(import.meta.url)
      ${ROUND_TRIP}
      console.log(Named === HyperEmitter, require('hyperemitter') === HyperEmitter, require('hyperemitter/hyperemitter.js') === HyperEmitter,
        require('hyperemitter/hyperemitter') === HyperEmitter, require('hyperemitter/package.json').name)
      console.log(await roundTrip('./store-import'))`), 'true true true true hyperemitter\na userAdded')
  })

  test('a worker thread', () => {
    assert.equal(script(app, 'worker.js', `const { Worker, isMainThread, parentPort } = require('node:worker_threads')
      const HyperEmitter = require('hyperemitter')
      ${ROUND_TRIP}
      if (isMainThread) new Worker(__filename).on('message', (text) => console.log('from the worker:', text))
      else roundTrip('./store-worker').then((text) => parentPort.postMessage(text))`), 'from the worker: a userAdded')
  })

  test('tsc --strict, as CommonJS and as a module', () => {
    const body = `
      interface Events { userAdded: { id: number, username: string } }
      const emitter = new HyperEmitter<Events>(':memory:', ${JSON.stringify(SCHEMA)})
      emitter.on('userAdded', (user) => { const name: string = user.username; console.log(name); emitter.close() })
      emitter.append('userAdded', { id: 1, username: 'a' }).then((node: HyperEmitter.Node) => node.key.toUpperCase())
      // @ts-expect-error no such event
      export const wrong = () => emitter.emit('userGone', {})
    `
    fs.writeFileSync(path.join(app, 'common.cts'), `import HyperEmitter = require('hyperemitter')\n${body}`)
    fs.writeFileSync(path.join(app, 'module.mts'), `import HyperEmitter from 'hyperemitter'\n${body}`)
    fs.writeFileSync(path.join(app, 'tsconfig.json'), JSON.stringify({
      compilerOptions: { strict: true, module: 'nodenext', target: 'es2022', types: ['node'], typeRoots: [path.join(root, 'node_modules/@types')], outDir: 'out' },
      files: ['common.cts', 'module.mts']
    }))
    run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', app])
    assert.equal(run(process.execPath, [path.join(app, 'out/common.cjs')], { cwd: app }).trim(), 'a')
    assert.equal(run(process.execPath, [path.join(app, 'out/module.mjs')], { cwd: app }).trim(), 'a')
  })

  test('hypem, installed beside the application and globally', () => {
    const schema = path.join(app, 'schema.proto')
    fs.writeFileSync(schema, SCHEMA)
    const line = '{"name":"userAdded","payload":{"id":7,"username":"g"}}\n'
    const prefix = path.join(work, 'global')
    run('npm', ['install', '--global', '--prefix', prefix, '--no-audit', '--no-fund', ...[packed.main, ...packed.platforms].map(({ file }) => file)])
    for (const hypem of [path.join(app, 'node_modules/.bin/hypem'), path.join(prefix, 'bin/hypem')]) {
      assert.match(run(hypem, ['--help']), /hypem/)
      const db = path.join(work, `db-${path.basename(path.dirname(path.dirname(hypem)))}`)
      run(hypem, ['--no-repl', '--db', db, schema], { input: line })
      assert.equal(run(hypem, ['--no-repl', '--from-scratch', '--db', db, schema]), line)
    }
  })

  test("the original's basic example, with memdb beside it", () => {
    const examples = path.join(root, '__test__/oracle/node_modules/hyperemitter/examples')
    const folder = application('original', [...[packed.main, ...packed.platforms].map(({ file }) => file), 'memdb@1.3.1'])
    fs.cpSync(examples, path.join(folder, 'examples'), { recursive: true })
    fs.writeFileSync(path.join(folder, 'hyperemitter.js'), "module.exports = require('hyperemitter/hyperemitter.js')")
    const printed = run(process.execPath, ['basic-example.js'], { cwd: path.join(folder, 'examples') })
    assert.equal(printed, "userAdded:  { id: 1, username: 'user', name: '', surname: '' }\nuserRemoved { id: 1 }\n")
  })

  test('one bundled tarball needs no registry', () => {
    const folder = application('bundled', [bundled.main.file], ['--offline', '--omit=optional'])
    assert.deepEqual(fs.readdirSync(path.join(folder, 'node_modules')).filter((name) => name.startsWith('@hyperemitter')), [])
    assert.equal(script(folder, 'require.js', `const HyperEmitter = require('hyperemitter')
      ${ROUND_TRIP}
      roundTrip('./store').then(console.log)`), 'a userAdded')
  })

  test('without the platform package, require says what to do', () => {
    const folder = application('bare', [packed.main.file], ['--offline', '--omit=optional'])
    const printed = script(folder, 'require.js', "try { require('hyperemitter') } catch (error) { console.log(error.code, error.message) }")
    assert.match(printed, /^ERR_HYPER_NO_BINARY hyperemitter found no native binary that loads on .*\n(.*\n)*Install the package of this platform/)
  })
})
