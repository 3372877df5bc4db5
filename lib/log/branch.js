'use strict'

/** `fork-`, seq, `-`, key, `-`, log. The seq has no leading zeros. */
const ID = /^fork-([1-9]\d{0,19})-([0-9a-f]{64})-(.+)$/s

/**
 * Takes apart the id of a branch, as `src/branch.rs` writes it.
 * @param {string} id of a log
 * @returns {{log: string, seq: number, key: string} | null} the log of which it is a version, its first entry there, and that entry's key; null if the id is no branch's
 */
function branchOf (id) {
  const found = ID.exec(id)
  if (!found || found[3].startsWith('ed25519-') || branchOf(found[3])) return null
  return { log: found[3], seq: Number(found[1]), key: found[2] }
}

module.exports = { branchOf }
