'use strict'

/**
 * The native addon. When it cannot be loaded: one error that says for which machine it was looked for, why each
 * candidate failed, and what to do. (The generated loader blames an old npm bug whatever the cause is.)
 */

const { binaryName, packageName, targets } = require('../package.json').napi

try {
  module.exports = require('../binding.js')
} catch (error) {
  throw explain(error)
}

/** This machine as the platform packages are named, for example `linux-x64-musl`. */
function hostName () {
  const abi = { linux: '-gnu', win32: '-msvc' }[process.platform] || ''
  const libc = process.platform === 'linux' && glibcVersion() === undefined ? '-musl' : abi
  return `${process.platform}-${process.arch}${libc}`
}

/** Version of the C library on Linux; undefined where it is not glibc. */
function glibcVersion () {
  return process.platform === 'linux' ? process.report.getReport().header.glibcVersionRuntime : undefined
}

/** Names of the platforms that have a prebuilt binary, from the Rust target triples. */
function builtNames () {
  const cpus = { x86_64: 'x64', aarch64: 'arm64' }
  const systems = { unknown: 'linux', apple: 'darwin', pc: 'win32' }
  return targets.map((triple) => {
    const [cpu, vendor, , abi] = triple.split('-')
    return [systems[vendor], cpus[cpu], abi].filter(Boolean).join('-')
  })
}

/** Why each candidate failed, first lines only. The loader also tries WebAssembly, which is never built. */
function reasons (error) {
  const found = []
  for (let e = error.cause; e; e = e.cause) found.push(String(e.message).split('\n')[0])
  return found.filter((reason) => !reason.includes('wasi')).reverse()
}

function advice (error, host) {
  const { version } = require('../package.json')
  if (error.code === 'MODULE_NOT_FOUND' && /binding\.js/.test(error.message)) {
    return 'This is a source checkout that has not been built: run `npm run build` (Rust is needed).'
  }
  if (process.env.NAPI_RS_NATIVE_LIBRARY_PATH) {
    return `NAPI_RS_NATIVE_LIBRARY_PATH is set to ${process.env.NAPI_RS_NATIVE_LIBRARY_PATH}: correct it or unset it.`
  }
  if (!builtNames().includes(host)) {
    return `There is no prebuilt binary for ${host} (there is for ${builtNames().join(', ')}). ` +
      'Build it from a source checkout with Rust (`npm run build`) and point NAPI_RS_NATIVE_LIBRARY_PATH at the ' +
      `${binaryName}.*.node file.`
  }
  return `Install the package of this platform, \`npm install ${packageName}-${host}@${version}\`. It is an optional ` +
    'dependency that npm leaves out with --omit=optional, or when node_modules or the lock file was made on another ' +
    'platform; then remove both and install again.'
}

function explain (error) {
  const host = hostName()
  const glibc = glibcVersion()
  const machine = `${host}${glibc ? ` (glibc ${glibc})` : ''}, Node.js ${process.versions.node}`
  const tried = reasons(error).map((reason) => `\n  - ${reason}`).join('')
  const explained = new Error(
    `hyperemitter found no native binary that loads on ${machine}.${tried}\n${advice(error, host)}`)
  explained.code = 'ERR_HYPER_NO_BINARY'
  return explained
}
