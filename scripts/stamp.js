'use strict'

/** Finds out whether building the addon again would change anything, because Cargo would have to compile for half a minute. */

const { createHash } = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { BINARY, hostName } = require('../addon')

/** The parts of the checkout from which the addon is built. */
const SOURCES = ['src', 'build.rs', 'Cargo.toml', 'Cargo.lock']

/** The file that describes the last build: its sources and its result. */
const STAMP = 'target/addon.json'

/** Files under `name`, itself included, in a fixed order. */
function filesOf (root, name) {
  if (!fs.statSync(path.join(root, name)).isDirectory()) return [name]
  return fs.readdirSync(path.join(root, name)).sort().flatMap((child) => filesOf(root, path.join(name, child)))
}

function digest (parts) {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex')
}

/** A text that describes the sources of a build with this profile and the existing addon for this machine. */
function state (root, profile) {
  const addon = path.join(root, `${BINARY}.${hostName()}.node`)
  return JSON.stringify({
    profile,
    flags: process.env.RUSTFLAGS ?? null,
    sources: digest(SOURCES.flatMap((name) => filesOf(root, name)).flatMap((file) => [file, fs.readFileSync(path.join(root, file))])),
    addon: fs.existsSync(addon) ? digest([fs.readFileSync(addon)]) : null
  })
}

/** Whether the addon in `root` is what a build with this profile would produce. */
function isBuilt (root, profile) {
  const stamp = path.join(root, STAMP)
  return fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === state(root, profile)
}

/** Remembers that the addon in `root` has just been built with this profile. */
function markBuilt (root, profile) {
  const stamp = path.join(root, STAMP)
  fs.mkdirSync(path.dirname(stamp), { recursive: true })
  fs.writeFileSync(stamp, state(root, profile))
}

module.exports = { isBuilt, markBuilt }
