'use strict'

module.exports = {
  name: 'key',
  summary: 'show the public key of a private key',
  usage: ['key FILE'],
  description: ['Prints the public key that belongs to the private key in FILE.'],
  operands: [{ name: 'FILE', value: 'FILE' }],
  options: {},
  exits: [['1', 'FILE holds no Ed25519 private key']],
  examples: [['What peers have to list', 'hypem key node.key']],
  async run (context, values, [file]) {
    await context.print(`${require('../../trust/keys').publicKeyOf(file)}\n`)
  }
}
