'use strict'

/**
 * Which member of a group has a key: FNV-1a over the UTF-8 bytes of its text, modulo the number of members. Every version must give the
 * same, or members would disagree about who has which key.
 *
 * @param {*} key
 * @param {number} size members
 * @returns {number} from 0
 */
function memberOf (key, size) {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(String(key))) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0) % size
}

module.exports = { memberOf }
