'use strict'

const { existsSync } = require('node:fs')
const { createRequire } = require('node:module')
const { basename, dirname, join, sep } = require('node:path')
const { pathToFileURL } = require('node:url')
const { Failure } = require('./exit')

const ROOT = join(__dirname, '../..')

/**
 * The command that installs a package where this hypem finds it.
 * @param {string} name
 * @param {string} [root] folder of this package
 */
function installCommand (name, root = ROOT) {
  const modules = dirname(root)
  const pnpm = root.includes(`${sep}.pnpm${sep}`)
  // A project has a package.json beside node_modules; the folder of global packages has none.
  const global = pnpm ? root.includes(`${sep}global${sep}`) : basename(modules) === 'node_modules' && !existsSync(join(modules, '..', 'package.json'))
  return `${pnpm ? 'pnpm add' : 'npm install'} ${global ? '--global ' : ''}${name}`
}

/** Finds a package, beside hyperemitter or in the project in which hypem runs. Undefined if it is in neither. */
function locate (name) {
  for (const from of [__filename, join(process.cwd(), 'package.json')]) {
    try {
      return createRequire(from).resolve(name)
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error
    }
  }
}

/**
 * Loads a package that hyperemitter needs only for some commands.
 * @param {string} name
 * @param {string} purpose what it is needed for
 * @returns {Promise<object>} its exports
 * @throws {Failure} it is not installed: the message says how to install it
 */
async function load (name, purpose) {
  const file = locate(name)
  if (file === undefined) {
    throw new Failure(`${purpose} needs the package ${name}, which is not installed: run ${installCommand(name)}`)
  }
  try {
    return await import(pathToFileURL(file).href)
  } catch (error) {
    throw new Failure(`${purpose} needs the package ${name}, which is at ${file} but does not load: ${error.message}`)
  }
}

module.exports = { installCommand, locate, load }
