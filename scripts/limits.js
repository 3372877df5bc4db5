'use strict'

/**
 * Checks the tables of docs/design/limits.md against the code, and that the tests that SECURITY.md names exist.
 *
 *   node scripts/limits.js            fails on a row that the code contradicts, and on a limit without a row
 *   node scripts/limits.js --missing  prints rows to fill in for the limits that have none
 *
 * A row names its constant as `path: NAME`, states its value in words ("64 KiB", "30 s", "1,024"), and names a test as `path:
 * title` or `path`. Instead of a test it may say `tuning`: nothing is refused whatever the value is, or no test can reach the
 * limit; the reason is under "why". A constant counts as a limit if its name says so; LIMIT is that rule. A field of a
 * constant, or of an element of one, is `NAME.field` or `NAME[0].field`; a default of an option is `path: max_option`.
 */

const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..')
const TABLE = path.join(root, 'docs', 'design', 'limits.md')

/** Names that mark a constant as a limit on what others can make the process do, hold or wait for. */
const LIMIT = /^(MAX|MOST|LONGEST)(_|$)|_(MAX|LIMIT|TIMEOUT|BURST|QUOTA|PER_SECOND|WITHIN)(_|$)|^max_|^(CONNECT_TIMEOUT|CLOSE_WITHIN)$/

const RUST = /^\s*(?:pub(?:\([a-z]+\))? )?const ([A-Z][A-Z0-9_]*): (?:[A-Za-z0-9]+|\[\w+; \d+\]) = ([^;]+);/gm
const DEFAULT = /\b(max_[a-z_]+): (\d[\d_ *<]*)(?=[,}]| })/g
const JAVASCRIPT = /^const ([A-Z][A-Z0-9_]*) = ([^\n{[]+)$/gm

/** Rust files of tests within `src`. */
const TESTS = /\/(?:tests|hostile)\.rs$/

const UNITS = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, ms: 1, s: 1000, minutes: 60_000, hours: 3_600_000, days: 86_400_000 }

function * files (folder, ending) {
  for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const inside = `${folder}/${entry.name}`
    if (entry.isDirectory()) yield * files(inside, ending)
    else if (entry.name.endsWith(ending)) yield inside
  }
}

/** What a constant consists of: `['', text]`, or `['.field', text]` or `['[0].field', text]` for each field. */
function parts (text) {
  const structs = [...text.matchAll(/\{([^}]*)\}/g)]
  if (structs.length === 0) return [['', text]]
  const place = (index) => text.startsWith('[') ? `[${index}]` : ''
  return structs.flatMap(([, fields], index) =>
    [...fields.matchAll(/(\w+): ([^,]+)/g)].map(([, field, value]) => [`${place(index)}.${field}`, value.trim()]))
}

/** Constants of the code: `path: NAME` to its expression. Inline Rust tests are left out. */
function constants () {
  const found = new Map()
  for (const file of files('src', '.rs')) {
    if (TESTS.test(file)) continue
    const [code] = fs.readFileSync(path.join(root, file), 'utf8').split('#[cfg(test)]\nmod ')
    for (const [, name, text] of code.replace(/\/\/.*/g, '').matchAll(RUST)) {
      for (const [field, value] of parts(text)) found.set(`${file}: ${name}${field}`, value)
    }
    const [defaults = ''] = /fn default\(\) -> Self \{[^]*?\n {4}\}/.exec(code) ?? []
    for (const [, name, text] of defaults.matchAll(DEFAULT)) found.set(`${file}: ${name}`, text.trim())
  }
  for (const file of files('lib', '.js')) {
    const code = fs.readFileSync(path.join(root, file), 'utf8')
    for (const [, name, text] of code.matchAll(JAVASCRIPT)) found.set(`${file}: ${name}`, text)
  }
  return found
}

/** The value of an expression, with durations in milliseconds; undefined if it is not plain arithmetic. */
function evaluate (text, file, all, depth = 0) {
  if (depth > 4) return undefined
  const plain = text
    .replace(/Duration::from_millis\(([^)]*)\)/g, '($1)')
    .replace(/Duration::from_secs\(([^)]*)\)/g, '(($1) * 1000)')
    .replace(/ as [a-z0-9]+/g, '')
    .replace(/(?<=[0-9])_(?=[0-9])/g, '')
    .replace(/(?<=[0-9])(?:usize|[ui](?:8|16|32|64))/g, '')
    .replace(/(?:[a-z_0-9]+::)*([A-Z][A-Z0-9_]+)\b/g, (whole, name) => {
      const key = all.has(`${file}: ${name}`) ? `${file}: ${name}` : [...all.keys()].find((each) => each.endsWith(`: ${name}`))
      const value = key === undefined ? undefined : evaluate(all.get(key), key.split(': ')[0], all, depth + 1)
      return value === undefined ? '?' : `(${value})`
    })
  if (!/^[\d\s()+*/.<-]+$/.test(plain)) return undefined
  return Number(Function(`return (${plain})`)()) // eslint-disable-line no-new-func
}

/** The number in a cell such as "64 KiB", "1,024 per link" or "30 s". */
function said (cell) {
  const [, digits, unit] = /^([\d,.]+)(?: (\w+))?/.exec(cell) ?? []
  if (digits === undefined) return undefined
  return Number(digits.replaceAll(',', '')) * (UNITS[unit] ?? 1)
}

/** Rows of the tables: limit, value, constant, reason, who is told, test. */
function rows () {
  return fs.readFileSync(TABLE, 'utf8').split('\n')
    .filter((line) => line.startsWith('|') && !/^\| (?:---|Limit )/.test(line))
    .map((line) => line.slice(1, -1).split(' | ').map((cell) => cell.trim()))
}

function quoted (cell) {
  return /`([^`]+)`/.exec(cell ?? '')?.[1]
}

/** What is wrong with the name of a test (`path: title` or `path`); undefined if the test exists. */
function faultOfTest (test) {
  const [file, title] = test.split(': ')
  if (!fs.existsSync(path.join(root, file))) return `there is no test file ${file}`
  if (title && !fs.readFileSync(path.join(root, file), 'utf8').includes(title)) return `${file} has no test "${title}"`
}

/** Tests that SECURITY.md names and that do not exist. */
function faultsOfSecurity () {
  const named = fs.readFileSync(path.join(root, 'SECURITY.md'), 'utf8').matchAll(/`((?:src|tests|__test__)\/[^`]+)`/g)
  return Array.from(named, ([, test]) => faultOfTest(test)).filter(Boolean)
}

function main (given) {
  const all = constants()
  const faults = []
  const listed = new Set()
  for (const row of rows()) {
    const [limit, value, constant, reason, told, test] = row
    const fault = (text) => faults.push(`${limit}: ${text}`)
    if (row.length !== 6 || [limit, value, constant, reason, told, test].some((cell) => !cell)) {
      fault('a row has six cells: limit, value, constant, why, who is told, test')
      continue
    }
    const name = quoted(constant)
    listed.add(name)
    if (!all.has(name)) {
      fault(`there is no constant ${name}`)
      continue
    }
    const actual = evaluate(all.get(name), name.split(': ')[0], all)
    if (actual !== undefined && actual !== said(value)) fault(`the table says ${value}, the code ${all.get(name)}`)
    if (test === 'tuning') continue
    const missing = quoted(test) ? faultOfTest(quoted(test)) : 'there is no test, nor the word "tuning"'
    if (missing) fault(missing)
  }
  for (const [name, text] of all) {
    if (!LIMIT.test(name.split(': ')[1].replace(/[.[].*/, '')) || listed.has(name)) continue
    if (given.includes('--missing')) console.log(`| | ${text} | \`${name}\` | | | |`)
    else faults.push(`${name} = ${text} has no row in docs/design/limits.md`)
  }
  for (const fault of faultsOfSecurity()) faults.push(fault)
  for (const fault of faults) console.error(fault)
  console.log(`${listed.size} limits, ${faults.length} faults`)
  process.exitCode = faults.length > 0 ? 1 : 0
}

main(process.argv.slice(2))
