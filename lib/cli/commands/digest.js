'use strict'

const { forJson, forTerminal } = require('../escape')
const { EXIT } = require('../exit')

module.exports = {
  name: 'digest',
  summary: 'compare stores: equal digests mean equal events',
  usage: ['digest DB [DB]... [--json]'],
  description: ['Prints the digest of a store. Two stores have the same digest if, and only if, they hold the same events. With several stores, each digest is printed with the path of its store, and the exit code says whether all are equal.'],
  operands: [{ name: 'DB', value: 'DIR', many: true }],
  options: {
    json: { type: 'boolean', help: 'print one JSON object: equal, stores' }
  },
  exits: [['3', 'the digests differ']],
  examples: [['Is the copy complete?', 'hypem digest db copy > /dev/null && echo equal']],
  async run (context, values, paths) {
    const stores = []
    for (const path of paths) {
      const hyper = await context.open(path, null, { mustExist: true, readOnly: true })
      stores.push({ path, digest: await context.or(hyper.digest()) })
      await hyper.close()
    }
    const equal = stores.every(({ digest }) => digest === stores[0].digest)
    if (values.json) await context.print(forJson({ equal, stores }, 2) + '\n')
    else if (stores.length === 1) await context.print(`${stores[0].digest}\n`)
    else await context.print(stores.map(({ path, digest }) => `${digest}  ${forTerminal(path)}\n`).join(''))
    return equal ? EXIT.OK : EXIT.FOUND
  }
}
