'use strict'

/**
 * Which file of src imports which. An import counts for the file that defines the name, not for a module that only passes
 * it on with `pub use`. Parent and child modules may know each other; tests may know everything.
 */

const fs = require('node:fs')
const path = require('node:path')

/** `mod name;` */
const MODULE = /^\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;/gm
const TEST_MODULE = /#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;/g
/** Tests stand at the end of their file. */
const TESTS = /^#\[cfg\(test\)\]\s*mod \w+ \{[^]*/m
const USE = /(?:^|[^\w])(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);/g
const PATH = /(?<![\w:])(?:crate|self|super)(?:::\w+)+/g
const COMMENT_OR_TEXT = /\/\/[^\n]*|\/\*[^]*?\*\/|\bb?r(#*)"[^]*?"\1|\bb?"(?:\\[^]|[^"\\])*"|"(?:\\[^]|[^"\\])*"/g

/** @returns {Map<string, string[]>} each file, and the files that it imports */
function rust (root) {
  const modules = modulesOf(root)
  const graph = new Map()
  for (const module of modules.values()) {
    const wanted = [...module.uses, ...module.paths].map(({ path }) => defining(modules, module, path)).filter(Boolean)
    const files = wanted.filter((other) => !related(module.name, other.name)).map(({ file }) => file)
    graph.set(module.file, [...new Set(files)])
  }
  return graph
}

/** All modules that are files, by path (`crate`, `crate::store::level`), but for tests. */
function modulesOf (root) {
  const modules = new Map()
  const read = (name, file, folder) => {
    const code = fs.readFileSync(path.join(root, file), 'utf8').replace(COMMENT_OR_TEXT, '""')
    const tests = [...code.matchAll(TEST_MODULE)].map(([, name]) => name)
    const own = code.replace(TESTS, '')
    const module = { name, file, uses: [], paths: [] }
    for (const [, visible, tree] of own.matchAll(USE)) module.uses.push(...expand(tree, visible !== undefined))
    for (const [text] of own.replace(USE, ' ').matchAll(PATH)) module.paths.push({ path: text.split('::') })
    modules.set(name, module)
    for (const [, child] of own.matchAll(MODULE)) {
      if (tests.includes(child)) continue
      const inFolder = `${folder}/${child}/mod.rs`
      const exists = fs.existsSync(path.join(root, inFolder))
      read(`${name}::${child}`, exists ? inFolder : `${folder}/${child}.rs`, `${folder}/${child}`)
    }
  }
  read('crate', 'src/lib.rs', 'src')
  return modules
}

/** The paths of a `use` tree, each with the name that it brings. */
function expand (tree, visible) {
  const found = []
  const walk = (text, before) => {
    const brace = text.indexOf('{')
    if (brace >= 0) {
      const prefix = text.slice(0, brace).split('::').map((part) => part.trim()).filter(Boolean)
      for (const part of branches(text.slice(brace + 1, text.lastIndexOf('}')))) walk(part, [...before, ...prefix])
      return
    }
    const [own, alias] = text.trim().split(/\s+as\s+/)
    const path = [...before, ...own.split('::').map((part) => part.trim())]
    if (path.at(-1) === 'self') path.pop()
    found.push({ path, name: alias ?? path.at(-1), visible })
  }
  walk(tree, [])
  return found
}

/** Splits at the commas outside of braces. */
function branches (text) {
  const parts = ['']
  let depth = 0
  for (const character of text) {
    if (character === '{') depth++
    if (character === '}') depth--
    if (character === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts.filter((part) => part.trim() !== '')
}

/** The module that defines what a path in `module` names; undefined for other crates. */
function defining (modules, module, path, depth = 0) {
  let at = start(modules, module, path)
  if (at === undefined || depth > 8) return at
  const rest = path.slice(at.skip)
  at = at.module
  for (const [index, part] of rest.entries()) {
    const child = modules.get(`${at.name}::${part}`)
    if (child !== undefined) {
      at = child
      continue
    }
    if (at === module && index === 0 && path[0] !== 'self') return at
    const passed = at.uses.find(({ name, visible }) => visible && name === part)
    return (passed && defining(modules, at, passed.path, depth + 1)) ?? at
  }
  return at
}

function start (modules, module, path) {
  const parent = (name) => modules.get(name.slice(0, name.lastIndexOf('::')))
  if (path[0] === 'crate') return { module: modules.get('crate'), skip: 1 }
  if (path[0] === 'self') return { module, skip: 1 }
  if (path[0] === 'super') {
    let at = module
    let skip = 0
    while (path[skip] === 'super' && at !== undefined) {
      at = parent(at.name)
      skip++
    }
    return at && { module: at, skip }
  }
  return modules.has(`${module.name}::${path[0]}`) ? { module, skip: 0 } : undefined
}

/** Whether one of two modules is within the other, or both are one. */
function related (one, other) {
  return one === other || one.startsWith(`${other}::`) || other.startsWith(`${one}::`)
}

module.exports = { rust }
