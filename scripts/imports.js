'use strict'

/**
 * Builds the import graphs of lib and src, and looks for cycles: the files of a cycle cannot be understood, tested or moved without
 * each other.
 *
 *   node scripts/imports.js             fails if there are cycles, and prints them
 *   node scripts/imports.js --graph     prints the graph, one file a line, with what it imports
 *
 * A language is a function from the root of a repository to its graph: a Map from each file to the files that it imports, all
 * relative to the root, with `/`.
 */

const fs = require('node:fs')
const path = require('node:path')

const { rust } = require('./rust-imports')

const LANGUAGES = { javascript, rust }

/** `require('./x')` in lib, including those within functions. */
const REQUIRE = /\brequire\('(\.[^']*)'\)/g

/** @returns {Map<string, string[]>} */
function javascript (root) {
  const graph = new Map()
  for (const file of filesIn(root, 'lib', '.js')) {
    const text = fs.readFileSync(path.join(root, file), 'utf8')
    const imports = [...text.matchAll(REQUIRE)].map(([, wanted]) => resolve(root, file, wanted))
    graph.set(file, [...new Set(imports.filter(Boolean))])
  }
  return graph
}

/** The file that `require(wanted)` in `file` loads, found as Node.js does; undefined if it is not JavaScript. */
function resolve (root, file, wanted) {
  const base = path.posix.join(path.posix.dirname(file), wanted)
  return [base, `${base}.js`, `${base}/index.js`].find((each) => each.endsWith('.js') && fs.existsSync(path.join(root, each)))
}

/** Files below a folder with this ending, in order. */
function filesIn (root, folder, ending) {
  return fs.readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)).split(path.sep).join('/'))
    .sort()
}

/**
 * The cycles of a graph, one for each group of files that reach each other.
 *
 * @param {Map<string, string[]>} graph
 * @returns {string[][]} files in the order in which they import each other; the last one imports the first
 */
function cycles (graph) {
  const found = []
  const seen = new Set()
  for (const file of graph.keys()) {
    if (seen.has(file)) continue
    const cycle = shortestWay(graph, file, file)
    if (cycle === undefined) continue
    found.push(cycle)
    for (const each of groupOf(graph, file)) seen.add(each)
  }
  return found
}

/** Files that `file` imports, directly or indirectly, and that import it. */
function groupOf (graph, file) {
  return [...graph.keys()].filter((other) => shortestWay(graph, file, other) && shortestWay(graph, other, file))
}

/** The shortest path of files from `start` to one that imports `goal`; undefined if there is none. */
function shortestWay (graph, start, goal) {
  const cameFrom = new Map([[start, undefined]])
  for (const file of cameFrom.keys()) {
    for (const next of graph.get(file) ?? []) {
      if (next === goal) {
        const way = []
        for (let at = file; at !== undefined; at = cameFrom.get(at)) way.unshift(at)
        return way
      }
      if (!cameFrom.has(next)) cameFrom.set(next, file)
    }
  }
  return undefined
}

function main (args) {
  const root = path.join(__dirname, '..')
  for (const [language, graphOf] of Object.entries(LANGUAGES)) {
    const graph = graphOf(root)
    if (args.includes('--graph')) {
      for (const [file, imports] of graph) console.log(`${file}: ${imports.join(' ')}`)
      continue
    }
    const found = cycles(graph)
    for (const cycle of found) console.error(`${language}: ${[...cycle, cycle[0]].join(' → ')}`)
    if (found.length > 0) process.exitCode = 1
    else console.log(`${language}: ${graph.size} files, no cycle`)
  }
}

if (require.main === module) main(process.argv.slice(2))

module.exports = { cycles, javascript, rust }
