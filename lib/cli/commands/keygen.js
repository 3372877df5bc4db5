'use strict'

module.exports = {
  name: 'keygen',
  summary: 'make a private key, or the secret of a group',
  usage: ['keygen FILE [--secret]'],
  description: [
    'Writes a new Ed25519 key to FILE, which only its owner may read, and prints the public key. Peers list the public key under `peers` and pass it to `connect`. An existing file is never overwritten.',
    'Keep FILE outside the folder of a store, so that a copy of the store does not contain the identity.'
  ],
  operands: [{ name: 'FILE', value: 'FILE' }],
  options: {
    secret: { type: 'boolean', help: 'make the secret of a group instead: 32 random bytes; nothing is printed' }
  },
  exits: [['1', 'FILE exists, or cannot be written']],
  examples: [['A key, with its public key in a file beside it', 'hypem keygen node.key > node.pub']],
  async run (context, { secret }, [file]) {
    const { generateIdentity, generateSecret } = require('../../trust/keys')
    if (secret) generateSecret(file)
    else await context.print(`${generateIdentity(file)}\n`)
  }
}
