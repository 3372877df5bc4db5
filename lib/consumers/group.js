'use strict'

/**
 * The member of a group to which a key belongs: FNV-1a over the UTF-8 bytes of the key's text, modulo the number of members.
 * All versions must compute the same, or members would disagree about the owner of a key.
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
