'use strict'

// What users see when no addon loads: lib/native.js beside a loader that fails as the generated one does.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const test = require('node:test')

const root = path.join(__dirname, '../..')
const { version } = require('../../package.json')

/** Loads lib/native.js in a package whose binding.js is `loader` (none if null); returns the error's code and message. */
function load (t, loader, { env, setUp = '' } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-missing-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  fs.mkdirSync(path.join(folder, 'lib'))
  fs.copyFileSync(path.join(root, 'package.json'), path.join(folder, 'package.json'))
  fs.copyFileSync(path.join(root, 'lib/native.js'), path.join(folder, 'lib/native.js'))
  if (loader !== null) fs.writeFileSync(path.join(folder, 'binding.js'), loader)
  const script = `${setUp}; try { require('./lib/native') } catch (e) { console.log(JSON.stringify([e.code, e.message])) }`
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } })
  assert.equal(stderr, '')
  const [code, message] = JSON.parse(stdout)
  assert.equal(code, 'ERR_HYPER_NO_BINARY')
  assert.ok(message.includes(`Node.js ${process.versions.node}`), message)
  return message
}

/** How the generated loader fails: a chain of causes under a text about npm. */
const failing = (...texts) => `throw new Error('Cannot find native binding. npm has a bug', { cause: ${
  texts.reduceRight((cause, text) => `new Error(${JSON.stringify(text)}, { cause: ${cause} })`, 'undefined')} })`

const pretend = (platform, arch) =>
  `Object.defineProperty(process, 'platform', { value: '${platform}' }); Object.defineProperty(process, 'arch', { value: '${arch}' })`

test('a platform package that is not installed is named with its version', (t) => {
  const message = load(t, failing("Cannot find module './hyperemitter.wasi.cjs'", "Cannot find module '@hyperemitter/core-darwin-arm64'\nRequire stack:", 'first'), { setUp: pretend('darwin', 'arm64') })
  assert.match(message, /^hyperemitter found no native binary that loads on darwin-arm64, Node\.js/)
  assert.ok(message.includes(`npm install @hyperemitter/core-darwin-arm64@${version}`), message)
  assert.ok(message.includes(".\n  - first\n  - Cannot find module '@hyperemitter/core-darwin-arm64'\nInstall"), message)
  assert.ok(!message.includes('npm has a bug'), message)
})

test('a platform without a prebuilt binary is told which there are, and how to build', (t) => {
  const message = load(t, failing('Unsupported OS: sunos'), { setUp: pretend('sunos', 'x64') })
  assert.match(message, /no prebuilt binary for sunos-x64 \(there is for linux-x64-gnu, .*win32-arm64-msvc\)/)
  assert.match(message, /npm run build/)
})

test('on Linux the C library and its version are named', { skip: process.platform !== 'linux' }, (t) => {
  const glibc = process.report.getReport().header.glibcVersionRuntime
  const message = load(t, failing("/lib/libc.so.6: version `GLIBC_2.99' not found"))
  assert.ok(message.includes(glibc ? `-gnu (glibc ${glibc})` : '-musl,'), message)
  assert.ok(message.includes("version `GLIBC_2.99' not found"), message)
})

test('a wrong NAPI_RS_NATIVE_LIBRARY_PATH is named', (t) => {
  const message = load(t, failing('Cannot find module /nowhere.node'), { env: { NAPI_RS_NATIVE_LIBRARY_PATH: '/nowhere.node' } })
  assert.match(message, /NAPI_RS_NATIVE_LIBRARY_PATH is set to \/nowhere\.node/)
})

test('a checkout that has not been built says so', (t) => {
  assert.match(load(t, null), /source checkout that has not been built: run `npm run build`/)
})
