'use strict'

/**
 * The imports between the files of src. An import counts for the file that defines the name, not for a module that only
 * re-exports it with `pub use`. Parent and child modules may import each other; tests may import everything.
 */

const fs = require('node:fs')
const path = require('node:path')

/** `mod name;` */
const MODULE = /^\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;/gm
const TEST_MODULE = /#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;/g
/** Tests are at the end of a file. */
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

/** All modules that are files, by path (`crate`, `crate::store::level`), except tests. */
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

/** How often a name may be re-exported before it counts as undefined, because a cycle of `pub use` would never end. */
const MAX_PASSES = 8

/** The module that defines what a path in `module` names; undefined for other crates. */
function defining (modules, module, path, passes = 0) {
  const { start, names } = begin(modules, module, path)
  if (start === undefined) return undefined
  let at = start
  for (const name of names) {
    const child = modules.get(`${at.name}::${name}`)
    if (child !== undefined) {
      at = child
      continue
    }
    const passed = at.uses.find((use) => use.visible && use.name === name)
    return passed === undefined || passes === MAX_PASSES ? at : defining(modules, at, passed.path, passes + 1) ?? at
  }
  return at
}

/** The module at which a path begins, if it belongs to this crate, and the names after it. */
function begin (modules, module, path) {
  if (path[0] === 'crate') return { start: modules.get('crate'), names: path.slice(1) }
  if (path[0] === 'self') return { start: module, names: path.slice(1) }
  const ups = path.findIndex((name) => name !== 'super')
  if (ups !== 0) {
    const all = ups === -1 ? path.length : ups
    const name = module.name.split('::').slice(0, -all).join('::')
    return { start: modules.get(name), names: path.slice(all) }
  }
  return { start: modules.has(`${module.name}::${path[0]}`) ? module : undefined, names: path }
}

/** Whether one of two modules is within the other, or both are one. */
function related (one, other) {
  return one === other || one.startsWith(`${other}::`) || other.startsWith(`${one}::`)
}

module.exports = { rust }
