'use strict'

const { unknownKey } = require('./errors')
const { hint } = require('./nearest')

/**
 * Refuses keys that options do not have: a misspelt option would be ignored silently. Keys whose value is undefined are allowed.
 *
 * @param {string} where what has the options, for the message
 * @param {object} given
 * @param {string[]} known
 */
function checkKeys (where, given, known) {
  for (const key of Object.keys(given)) {
    if (!known.includes(key) && given[key] !== undefined) throw unknownKey(where, key, known.length > 0 ? hint(key, known) : 'it has no options')
  }
}

module.exports = checkKeys
