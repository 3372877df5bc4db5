'use strict'

const { styleText } = require('node:util')

/**
 * Whether colours may be written to `stream`: only to a terminal that has them, and not if NO_COLOR is set. FORCE_COLOR and
 * TERM=dumb are treated as by Node.js.
 * @param {NodeJS.WriteStream} stream
 * @param {NodeJS.ProcessEnv} env
 * @returns {boolean}
 */
function hasColours (stream, env) {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false'
  return Boolean(stream.isTTY && stream.hasColors(env))
}

/**
 * @param {NodeJS.WriteStream} stream
 * @param {NodeJS.ProcessEnv} env
 * @returns {(format: string|string[], text: string) => string} util.styleText, or the text as it is
 */
function painter (stream, env) {
  if (!hasColours(stream, env)) return (format, text) => text
  return (format, text) => styleText(format, text, { validateStream: false })
}

module.exports = { hasColours, painter }
