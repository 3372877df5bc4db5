'use strict'

// Runs one measurement in a process of its own, so that no run inherits another's heap, JIT or page cache of files.

const { spawn } = require('node:child_process')
const path = require('node:path')

/** Longest time of a single measurement, in ms. A hung peer fails its row, not the whole run. */
const LIMIT = 20 * 60 * 1000

/**
 * Runs `bench/work/<name>.js` and resolves to the object it prints as its last line.
 * @param {string} name
 * @param {object} options passed as JSON in the first argument
 * @param {string} [root] the checkout whose works are run, default this one
 * @returns {Promise<object>}
 */
exports.measure = function measure (name, options = {}, root = path.join(__dirname, '../..')) {
  return new Promise((resolve, reject) => {
    const args = ['--expose-gc', path.join(root, 'bench/work', name + '.js'), JSON.stringify(options)]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => { out += chunk })
    child.stderr.on('data', (chunk) => { err += chunk })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      const last = out.trim().split('\n').pop()
      if (code === 0 && last) return resolve(JSON.parse(last))
      reject(new Error(`${name} ${JSON.stringify(options)} ended with ${signal || code}: ${err.trim().slice(-600)}`))
    })
  })
}

/** The middle value, so that one slow run does not decide. */
exports.median = function median (values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
