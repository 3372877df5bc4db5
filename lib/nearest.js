'use strict'

/**
 * The number of single-letter edits (a deletion, an insertion, a replacement, or an exchange of two neighbours) between two
 * words.
 * @param {string} a
 * @param {string} b
 * @returns {number}
 */
function edits (a, b) {
  let before = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1)
    }
    before = last
    last = row
  }
  return last[b.length]
}

/** Longest word that is compared, because the time grows with the product of both lengths. */
const MAX_LENGTH = 60

/**
 * The word that was probably meant.
 * @param {string} word as it was written
 * @param {Iterable<string>} candidates
 * @returns {string|undefined} undefined if more than a third of the letters would have to change
 */
function nearest (word, candidates) {
  if (word.length > MAX_LENGTH) return undefined
  let best
  let least = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    if (candidate.length > MAX_LENGTH || Math.abs(candidate.length - word.length) >= least) continue
    const distance = edits(word.toLowerCase(), candidate.toLowerCase())
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** Most names that a hint lists: all names of a large schema would bury the message. */
const TOLD = 5

/**
 * For the message about an unknown name: what was probably meant, or which names there are.
 * @param {string} word
 * @param {string[]} names at least one
 * @param {Iterable<string>} [others] that may be meant, too, but are not listed
 */
function hint (word, names, others = []) {
  const meant = nearest(word, [...names, ...others])
  if (meant !== undefined) return `did you mean '${meant}'?`
  const told = names.slice(0, TOLD).map((name) => `'${name}'`).join(', ')
  return `it has ${names.length > TOLD ? `${told} and ${names.length - TOLD} more` : told}`
}

module.exports = { hint, nearest }
