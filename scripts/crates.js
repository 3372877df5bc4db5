'use strict'

/**
 * Checks the linked crates against the rules in deny.toml, offline: licences, sources, duplicate versions. Also checks that
 * every crate named in Cargo.toml is used. Advisories need the network: `cargo deny check advisories`, run by public CI.
 */

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { parse } = require('smol-toml')

const root = path.join(__dirname, '..')
const rules = parse(fs.readFileSync(path.join(root, 'deny.toml'), 'utf8'))
const metadata = JSON.parse(execFileSync('cargo', ['metadata', '--format-version', '1', '--locked'],
  { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }))
const packages = new Map(metadata.packages.map((each) => [each.id, each]))

/** Whether an SPDX expression can be met with allowed licences. */
function isAllowed (expression) {
  // `A/B` is the old form of `A OR B`. In the expressions that crates use, parentheses only group alternatives.
  const terms = expression.replace(/\s*\/\s*/g, ' OR ').split(' AND ')
  return terms.every((term) => term.replace(/[()]/g, '').split(' OR ')
    .some((licence) => rules.licenses.allow.includes(licence.trim())))
}

function licenceFaults () {
  return metadata.packages
    .filter(({ license }) => !license || !isAllowed(license))
    .map(({ name, version, license }) => `${name} ${version}: licence ${license} is not in deny.toml`)
}

function sourceFaults () {
  const official = /^registry\+.*\/crates\.io-index$/
  return metadata.packages
    .filter(({ source }) => source !== null && !official.test(source))
    .map(({ name, version, source }) => `${name} ${version} comes from ${source}`)
}

/** Whether `crate` of deny.toml (`name` or `name@version prefix`) means this package. */
function means ({ crate }, { name, version }) {
  const [wanted, prefix] = crate.split('@')
  return name === wanted && (!prefix || version === prefix || version.startsWith(`${prefix}.`))
}

/** These packages and all their dependencies. */
function withDependencies (ids) {
  const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node.dependencies]))
  const found = new Set(ids)
  for (const id of found) for (const dependency of nodes.get(id)) found.add(dependency)
  return found
}

function duplicateFaults () {
  const roots = metadata.packages.filter((each) => rules.bans['skip-tree'].some((rule) => means(rule, each)))
  const excused = withDependencies(roots.map(({ id }) => id))
  const byName = new Map()
  for (const [id, each] of packages) {
    if (excused.has(id) || rules.bans.skip.some((rule) => means(rule, each))) continue
    byName.set(each.name, [...byName.get(each.name) || [], each.version])
  }
  return [...byName].filter(([, versions]) => versions.length > 1)
    .map(([name, versions]) => `${name} is linked in versions ${versions.join(' and ')}: unify them or say why in deny.toml`)
}

function sources (folder) {
  const full = path.join(root, folder)
  if (!fs.existsSync(full)) return ''
  if (fs.statSync(full).isFile()) return fs.readFileSync(full, 'utf8')
  return fs.readdirSync(full).filter((name) => name !== 'target').map((name) => sources(path.join(folder, name))).join('\n')
}

function unusedFaults () {
  const code = { null: sources('src'), dev: ['src', 'tests', 'benches'].map(sources).join('\n'), build: sources('build.rs') }
  const { dependencies } = packages.get(metadata.resolve.root)
  return dependencies
    .filter(({ name, kind }) => !new RegExp(`\\b${name.replace(/-/g, '_')}(::|;| as )`).test(code[kind]))
    .map(({ name, kind }) => `${name} (${kind || 'normal'} dependency) is not used`)
}

const faults = [licenceFaults, sourceFaults, duplicateFaults, unusedFaults].flatMap((check) => check())
for (const fault of faults) console.error(fault)
console.log(`${packages.size} crates checked, ${faults.length} faults; advisories not checked (they need the network)`)
process.exitCode = faults.length > 0 ? 1 : 0
