'use strict'

/**
 * Finds and loads the native addon, `hyperemitter.<platform>.node`. Bundlers cannot follow where that is, and are not meant
 * to: the search happens when the program runs, and starts from the file that this code is in by then, a bundle for example.
 *
 *   1. the file that NAPI_RS_NATIVE_LIBRARY_PATH names, and then no other;
 *   2. an asset of that name in a Node.js single executable;
 *   3. a file of that name beside this one: a checkout, the bundled form of the package, or a bundle;
 *   4. the platform's package, as seen from here, and as seen from the package `hyperemitter`.
 *
 * docs/guides/bundling.md tells users.
 */

const fs = require('node:fs')
const { createRequire } = require('node:module')
const os = require('node:os')
const path = require('node:path')

/** The same as `napi` in package.json, which is not there in a bundle. */
const BINARY = 'hyperemitter'
const PACKAGE = '@hyperemitter/core'
const PLATFORMS = ['linux-x64-gnu', 'linux-arm64-gnu', 'linux-x64-musl', 'linux-arm64-musl', 'darwin-x64', 'darwin-arm64', 'win32-x64-msvc', 'win32-arm64-msvc']

/** Bundles that are modules have no `__filename`: then it is the program's file, or the executable. */
const HERE = typeof __filename === 'string' ? __filename : process.argv[1] || process.execPath

/** Version of the C library on Linux; undefined where it is not glibc. */
function glibcVersion () {
  if (process.platform !== 'linux') return undefined
  // Otherwise the report would look up the names of network peers.
  process.report.excludeNetwork = true
  return process.report.getReport().header.glibcVersionRuntime
}

/** Whether the C library of this Linux is musl. */
function isMusl () {
  try {
    // Quicker than the report, which Deno does not give without a further permission.
    return fs.readFileSync('/usr/bin/ldd', 'latin1').includes('musl')
  } catch {
    return glibcVersion() === undefined
  }
}

/** This machine as the platform packages are named, for example `linux-x64-musl`. */
function hostName () {
  const { platform, arch } = process
  const abi = { linux: () => isMusl() ? '-musl' : '-gnu', win32: () => '-msvc' }[platform]
  return `${platform}-${arch}${abi ? abi() : ''}`
}

/**
 * Loads the asset `name` of this single executable, if there is one. A shared library is loaded from a file, so the
 * asset becomes one for that moment, in a folder that only this user can write to.
 */
function fromExecutable (name) {
  const sea = process.getBuiltinModule?.('node:sea')
  if (!sea?.isSea()) return undefined
  let bytes
  try {
    bytes = sea.getRawAsset(name)
  } catch {
    return undefined // No such asset: the addon is beside the executable.
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `${BINARY}-`))
  const file = path.join(folder, name)
  try {
    fs.writeFileSync(file, new Uint8Array(bytes))
    return createRequire(HERE)(file)
  } finally {
    try {
      fs.rmSync(folder, { recursive: true })
    } catch {
      // Windows does not delete the file of a loaded library.
    }
  }
}

/** A `require` as of the package `hyperemitter`, where that can be found from `resolve`; else undefined. */
function asThePackage (load) {
  try {
    return createRequire(load.resolve(`${BINARY}/package.json`))
  } catch {
    return undefined
  }
}

/**
 * The addon.
 *
 * @returns {object} its exports
 * @throws {Error} with `reasons`: why each candidate failed, one line each
 */
function load () {
  const named = process.env.NAPI_RS_NATIVE_LIBRARY_PATH
  const load = createRequire(HERE)
  const host = hostName()
  const file = `${BINARY}.${host}.node`
  const candidates = named
    ? [() => load(path.resolve(named))]
    : [
        () => load(`./${file}`),
        () => load(`${PACKAGE}-${host}`),
        // Package managers that are strict show the platform's package to the package only.
        () => asThePackage(load)?.(`${PACKAGE}-${host}`)
      ]
  const reasons = []
  const embedded = named ? undefined : fromExecutable(file)
  if (embedded) return embedded
  for (const candidate of candidates) {
    try {
      const addon = candidate()
      if (addon) return addon
    } catch (error) {
      const reason = String(error.message).split('\n')[0]
      if (!reasons.includes(reason)) reasons.push(reason)
    }
  }
  throw Object.assign(new Error('no addon'), { reasons, host, file })
}

module.exports = { BINARY, PACKAGE, PLATFORMS, HERE, glibcVersion, hostName, load }
