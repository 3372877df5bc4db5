'use strict'

module.exports = {
  name: 'version',
  summary: 'show the version of hyperemitter',
  usage: ['version'],
  description: ['Prints the version of the installed package hyperemitter. The same as hypem --version. hypem doctor shows more.'],
  operands: [],
  options: {},
  examples: [['What is installed', 'hypem version']],
  async run (context) {
    await context.print(`${require('../../../package.json').version}\n`)
  }
}
