'use strict'

// What users see when no addon loads: lib/native/addon.js in a folder that looks like the package, without an addon or with a bad one.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const test = require('node:test')

const root = path.join(__dirname, '../..')
const { version } = require('../../package.json')

const { PACKAGE, PLATFORMS, BINARY, hostName } = require('../../addon')
const { napi } = require('../../package.json')

/** Loads lib/native/addon.js in a copy of the package without its addon; returns the error's message. */
function load (t, { files = {}, env, setUp = '', program = "require('./lib/native/addon')" } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-missing-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  for (const file of ['package.json', 'addon.js', 'lib/errors.js', 'lib/native/addon.js']) fs.cpSync(path.join(root, file), path.join(folder, file))
  for (const [file, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
    if (text === null) fs.rmSync(path.join(folder, file))
    else fs.writeFileSync(path.join(folder, file), text)
  }
  const script = `${setUp}; try { ${program} } catch (e) { console.log(JSON.stringify([e.code, e.message])) }`
  fs.writeFileSync(path.join(folder, 'main.js'), script)
  const { stdout, stderr } = spawnSync(process.execPath, ['main.js'], { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } })
  assert.equal(stderr, '')
  const [code, message] = JSON.parse(stdout)
  assert.equal(code, 'ERR_HYPER_NO_BINARY')
  assert.ok(message.includes(`Node.js ${process.versions.node}`), message)
  return message
}

const pretend = (platform, arch) =>
  `Object.defineProperty(process, 'platform', { value: '${platform}' }); Object.defineProperty(process, 'arch', { value: '${arch}' })`

/** A platform package whose addon does not load for the reason given. */
const failing = (reason) => ({
  [`node_modules/${PACKAGE}-${hostName()}/index.js`]: `throw new Error(${JSON.stringify(reason)})`
})

test('the platform names are those of the packages that are built', () => {
  const cpus = { x86_64: 'x64', aarch64: 'arm64' }
  const systems = { unknown: 'linux', apple: 'darwin', pc: 'win32' }
  const names = napi.targets.map((triple) => {
    const [cpu, vendor, , abi] = triple.split('-')
    return [systems[vendor], cpus[cpu], abi].filter(Boolean).join('-')
  })
  assert.deepEqual(PLATFORMS, names)
  assert.deepEqual([BINARY, PACKAGE], [napi.binaryName, napi.packageName])
})

test('the error names a platform package that is not installed, with its version', (t) => {
  const message = load(t, { setUp: pretend('darwin', 'arm64') })
  assert.match(message, /^hyperemitter found no native binary that loads on darwin-arm64, Node\.js/)
  assert.ok(message.includes(`npm install @hyperemitter/core-darwin-arm64@${version}`), message)
  assert.ok(message.includes("\n  - Cannot find module '@hyperemitter/core-darwin-arm64'\nInstall"), message)
})

test('on a platform without a prebuilt binary, the error lists those that exist, and says how to build one', (t) => {
  const message = load(t, { setUp: pretend('sunos', 'x64') })
  assert.match(message, /no prebuilt binary for sunos-x64 \(there is for linux-x64-gnu, .*win32-arm64-msvc\)/)
  assert.match(message, /npm run build/)
})

test('on Linux, the error names the C library and its version', { skip: process.platform !== 'linux' }, (t) => {
  const glibc = process.report.getReport().header.glibcVersionRuntime
  const message = load(t, { files: failing("/lib/libc.so.6: version `GLIBC_2.99' not found") })
  assert.ok(message.includes(glibc ? `-gnu (glibc ${glibc})` : '-musl,'), message)
  assert.ok(message.includes("\n  - /lib/libc.so.6: version `GLIBC_2.99' not found\n"), message)
})

test('a wrong NAPI_RS_NATIVE_LIBRARY_PATH is reported, and nothing else is tried', (t) => {
  const message = load(t, {
    env: { NAPI_RS_NATIVE_LIBRARY_PATH: '/nowhere.node' },
    files: { [`node_modules/${PACKAGE}-${hostName()}/index.js`]: 'module.exports = {}' }
  })
  assert.match(message, /NAPI_RS_NATIVE_LIBRARY_PATH is set to \/nowhere\.node/)
})

test('a checkout that has not been built says so', (t) => {
  assert.match(load(t, { files: { 'Cargo.toml': '' } }), /source checkout that has not been built: run `npm run build`/)
})

test('in a bundle, the error says where to put the addon', (t) => {
  const message = load(t, { files: { 'package.json': '{ "name": "app" }' } })
  assert.ok(message.includes(`put hyperemitter.${hostName()}.node of the package ${PACKAGE}-${hostName()} into `), message)
})
