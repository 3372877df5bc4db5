'use strict'

/**
 * A subcommand.
 * @typedef {object} Command
 * @property {string} name
 * @property {string} summary one line, small letters
 * @property {string[]} usage what follows `hypem`
 * @property {string[]} description paragraphs
 * @property {Record<string, import('./options').Option>} options
 * @property {Array<{name: string, value?: string, optional?: boolean, many?: boolean}>} operands
 * @property {Array<[string, string]>} [exits] exit codes with a special meaning
 * @property {Array<[string, string]>} examples what for, command line
 * @property {(context: import('./context').Context, values: Record<string, any>, operands: string[]) => Promise<number|void>} run
 */

/** In the order of the help page: reading, checking, copying, and the rest. */
const NAMES = [
  'stats', 'log', 'graph', 'verify', 'digest', 'schema', 'export', 'import', 'backup', 'restore', 'relay', 'adopt', 'consumers', 'keygen', 'key', 'types', 'doctor', 'bench', 'completions', 'version', 'help'
]

/** @returns {Command|undefined} */
function find (name) {
  return NAMES.includes(name) ? require(`./commands/${name}`) : undefined
}

/** @returns {Command[]} */
function all () {
  return NAMES.map(find)
}

module.exports = { NAMES, find, all }
