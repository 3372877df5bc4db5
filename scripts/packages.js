'use strict'

/**
 * Checks that every npm package named in package.json is used, and that packages that the published code requires are
 * dependencies that users get.
 */

const { builtinModules } = require('node:module')
const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..')
const { files, scripts, dependencies = {}, optionalDependencies = {}, peerDependencies = {}, devDependencies = {}, napi } = require('../package.json')

/** Source files under `name`, itself included. */
function sources (name) {
  const full = path.join(root, name)
  if (!fs.existsSync(full) || path.basename(name) === 'node_modules') return []
  if (fs.statSync(full).isDirectory()) return fs.readdirSync(full).flatMap((child) => sources(path.join(name, child)))
  return /\.([cm]?js|d\.[cm]?ts|[cm]?ts)$/.test(name) ? [name] : []
}

/** Packages that a file requires, imports or resolves, relative and built-in modules left out. */
function required (name) {
  const text = fs.readFileSync(path.join(root, name), 'utf8')
  const calls = text.matchAll(/(?:\brequire|\bimport|\.resolve)\s*\(\s*['"]([^'"./][^'"]*)['"]|\bfrom\s+['"]([^'"./][^'"]*)['"]/g)
  return [...calls].map(([, called, imported]) => called || imported)
    .map((id) => id.split('/').slice(0, id.startsWith('@') ? 2 : 1).join('/'))
    .filter((id) => !id.startsWith('node:') && !builtinModules.includes(id))
}

const published = files.flatMap(sources)
const ours = [...published, ...['scripts', '__test__', 'examples'].flatMap(sources)]
const usedByUsers = new Set(published.flatMap(required))
/** Optional peer dependencies are loaded by name on demand, beside the package or in the current folder. */
for (const name of Object.keys(peerDependencies)) {
  if (published.some((file) => fs.readFileSync(path.join(root, file), 'utf8').includes(`'${name}'`))) usedByUsers.add(name)
}
const usedByUs = new Set(ours.flatMap(required))
/** Packages whose programs scripts run. */
const commands = [...Object.values(scripts), ...sources('scripts').map((name) => fs.readFileSync(path.join(root, name), 'utf8'))].join('\n')
const programs = { '@napi-rs/cli': 'napi', '@arethetypeswrong/cli': 'attw', typescript: 'tsc' }
const isRun = (name) => new RegExp(`['" ]${programs[name] || name}['" ]`).test(commands)
/** Packages of types are used without being named. */
const isTypes = (name) => name.startsWith('@types/')

const given = { ...dependencies, ...optionalDependencies, ...peerDependencies }
const faults = [
  ...Object.keys(given).filter((name) => !usedByUsers.has(name) && !name.startsWith(napi.packageName)).map((name) => `${name} is a dependency but the package does not use it`),
  ...[...usedByUsers].filter((name) => !(name in given) && name !== 'hyperemitter').map((name) => `the package uses ${name} but users do not get it`),
  ...Object.keys(devDependencies).filter((name) => !usedByUs.has(name) && !isRun(name) && !isTypes(name)).map((name) => `${name} is a devDependency but nothing uses it`)
]
for (const fault of faults) console.error(fault)
console.log(`${Object.keys({ ...given, ...devDependencies }).length} npm packages checked, ${faults.length} faults`)
process.exitCode = faults.length > 0 ? 1 : 0
