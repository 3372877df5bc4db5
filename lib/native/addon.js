'use strict'

/**
 * Loads the native addon. If that fails, one error says which machine this is, why each candidate failed, and what to do.
 */

const fs = require('node:fs')
const path = require('node:path')
const { noBinary } = require('../errors')
const { BINARY, PACKAGE, PLATFORMS, HERE, glibcVersion, load } = require('../../addon')

try {
  module.exports = load()
} catch (error) {
  throw error.reasons ? explain(error) : error
}

/** What to do about the failure. */
function advice ({ host, file }) {
  const folder = path.dirname(HERE)
  if (process.env.NAPI_RS_NATIVE_LIBRARY_PATH) {
    return `NAPI_RS_NATIVE_LIBRARY_PATH is set to ${process.env.NAPI_RS_NATIVE_LIBRARY_PATH}: correct it or unset it.`
  }
  if (fs.existsSync(path.join(folder, 'Cargo.toml'))) {
    return 'This is a source checkout that has not been built: run `npm run build` (Rust is needed).'
  }
  if (!PLATFORMS.includes(host)) {
    return `There is no prebuilt binary for ${host} (there is for ${PLATFORMS.join(', ')}). ` +
      'Build it from a source checkout with Rust (`npm run build`) and point NAPI_RS_NATIVE_LIBRARY_PATH at the ' +
      `${BINARY}.*.node file.`
  }
  const manifest = manifestIn(folder)
  if (!manifest) {
    return `In a bundled program, put ${file} of the package ${PACKAGE}-${host} into ${folder}, or install that package ` +
      'where the program can require it.'
  }
  return `Install the package of this platform, \`npm install ${PACKAGE}-${host}@${manifest.version}\`. It is an optional ` +
    'dependency that package managers leave out with --omit=optional, or when node_modules or the lock file was made on ' +
    'another platform; then remove both and install again.'
}

/** Our package.json, if this code is in our package. */
function manifestIn (folder) {
  try {
    const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'))
    return manifest.name === BINARY ? manifest : undefined
  } catch {
    return undefined
  }
}

function explain ({ reasons, host, file }) {
  const glibc = glibcVersion()
  const machine = `${host}${glibc ? ` (glibc ${glibc})` : ''}, Node.js ${process.versions.node}`
  const tried = reasons.map((reason) => `\n  - ${reason}`).join('')
  return noBinary(`${BINARY} found no native binary that loads on ${machine}.${tried}\n${advice({ host, file })}`)
}
