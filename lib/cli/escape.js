'use strict'

/**
 * Escapes foreign text for the place where it is printed. Names of events, ids of logs, payloads, addresses and messages of
 * errors may come from any peer. Unescaped they could move the cursor, rename the window, hide or reverse the text beside them,
 * or look like lines of hypem's own.
 */

const { inspect } = require('node:util')

/**
 * Invisible characters: controls (C0, C1, DEL), direction marks and other invisible formatting, line and paragraph separators,
 * lone surrogates, noncharacters. The two joiners are not among them: emoji and several scripts need them, and they do not
 * affect other text.
 */
const INVISIBLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{NChar}]/gu // eslint-disable-line no-misleading-character-class

/** Escape sequences for colours, as util.inspect and util.styleText write them. */
const COLOUR = /^\x1b\[\d{1,2}m/ // eslint-disable-line no-control-regex

/** Most text is plain ASCII, which is much faster to recognise. */
const NOT_ASCII = /[^\x20-\x7e]/

const SHORT = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** A character as JSON and JavaScript escape it: `\u001b`; two escapes beyond U+FFFF. */
function escape (character) {
  return character.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
}

/**
 * One line of text for a terminal.
 * @param {string} text
 * @returns {string}
 */
function forTerminal (text) {
  return String(text).replace(INVISIBLE, (character) => SHORT[character] ?? escape(character))
}

/**
 * A value for a terminal, with the lines and colours of util.inspect.
 * @param {any} value
 * @param {import('node:util').InspectOptions} [options]
 * @returns {string}
 */
function shown (value, options) {
  return inspect(value, options).replace(INVISIBLE, (character, at, text) =>
    character === '\n' || (character === '\x1b' && COLOUR.test(text.slice(at, at + 6))) ? character : escape(character))
}

/**
 * Text for quotes in DOT. It cannot end them, and contains no escapes or entities (Graphviz would decode entities, and write
 * their characters into the SVG).
 * @param {string} text
 * @returns {string}
 */
function forDot (text) {
  return forTerminal(text).replace(/["\\]/g, '\\$&').replace(/&/g, '&amp;')
}

/**
 * JSON with all invisible characters escaped: the same value for programs, and harmless on a terminal.
 * @param {any} value
 * @param {number} [indent]
 * @returns {string}
 */
function forJson (value, indent) {
  const text = JSON.stringify(value, null, indent)
  if (!NOT_ASCII.test(text)) return text
  // The line breaks between lines are the only control characters outside strings.
  return text.replace(INVISIBLE, (character) => character === '\n' ? character : escape(character))
}

module.exports = { forTerminal, shown, forDot, forJson }
