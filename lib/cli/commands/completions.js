'use strict'

const { UsageFailure } = require('../exit')
const completions = require('../completions')

const SHELLS = Object.keys(completions)

module.exports = {
  name: 'completions',
  summary: 'print a completion script for bash, zsh or fish',
  usage: ['completions bash|zsh|fish'],
  description: ['Prints a script that makes the tab key complete the commands, options and files of hypem.'],
  operands: [{ name: 'SHELL', value: 'SHELL', choices: SHELLS }],
  options: {},
  examples: [
    ['bash', 'hypem completions bash > ~/.local/share/bash-completion/completions/hypem'],
    ['zsh', 'hypem completions zsh > "${fpath[1]}/_hypem"'], // eslint-disable-line no-template-curly-in-string
    ['fish', 'hypem completions fish > ~/.config/fish/completions/hypem.fish']
  ],
  async run (context, values, [shell]) {
    if (!SHELLS.includes(shell)) throw new UsageFailure(`there are completions for ${SHELLS.join(', ')}, not for ${shell}`)
    await context.print(completions[shell]())
  }
}
