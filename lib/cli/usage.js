'use strict'

const { HELP } = require('./options')

/** The usage text of 1.x, unchanged: some scripts look for it. */
const USAGE = `Usage: hypem <SCHEMA> [--schema SCHEMA] [--port PORT] [--host HOST]
                      [--target-host HOST] [--target-port PORT]
                      [--db PATH] [--no-repl] [--from-scratch]
`

/** Columns of a help page if the output is not a terminal; on a terminal, the largest number of columns. */
const WIDTH = 80

/** Breaks a paragraph into lines that start with `indent`. */
function wrap (text, indent, width = WIDTH) {
  const lines = ['']
  for (const word of text.split(/\s+/)) {
    const last = lines[lines.length - 1]
    if (last !== '' && indent.length + last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines.map((line) => `${indent}${line}\n`).join('')
}

/** `-h, --help`, `--port PORT` */
function optionTerm (name, { short, value, choices, type }) {
  const shown = type === 'string' ? ` ${choices ? choices.join('|') : value}` : ''
  return `${short ? `-${short}, ` : ''}--${name}${shown}`
}

/** Terms, each with an explanation indented below it. */
function list (entries, paint) {
  return entries.map(([term, text]) => `       ${paint('bold', term)}\n${wrap(text, '           ')}`).join('\n')
}

/**
 * A page in the style of a manual page.
 * @param {import('./commands').Command} command
 * @param {(format: string, text: string) => string} paint
 * @returns {string}
 */
function page (command, paint) {
  const section = (title, body) => `${paint('bold', title)}\n${body}\n`
  const options = Object.entries({ ...command.options, help: HELP })
  return section('NAME', wrap(`hypem${command.name ? ` ${command.name}` : ''} - ${command.summary}`, '       ')) +
    section('SYNOPSIS', command.usage.map((line) => wrap(`hypem ${line}`, '       ')).join('')) +
    section('DESCRIPTION', command.description.map((text) => wrap(text, '       ')).join('\n')) +
    (command.commands ? section('COMMANDS', list(command.commands, paint)) : '') +
    section('OPTIONS', list(options.map(([name, option]) => [optionTerm(name, option), option.help]), paint)) +
    (command.exits ? section('EXIT STATUS', list(command.exits, paint)) : '') +
    section('EXAMPLES', command.examples.map(([text, line]) => `${wrap(text + ':', '       ')}\n           ${line}\n`).join('\n'))
}

module.exports = { USAGE, page, wrap }
