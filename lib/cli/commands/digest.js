'use strict'

const { forJson, forTerminal } = require('../escape')
const { EXIT } = require('../exit')

module.exports = {
  name: 'digest',
  summary: 'the digest of a store: equal exactly where the same events are',
  usage: ['digest DB [DB]... [--json]'],
  description: ['Two stores have the same digest exactly when they hold the same logs, whatever kind of store they are. Of several stores each is printed with its path; the exit code tells whether they are equal.'],
  operands: [{ name: 'DB', value: 'DIR', many: true }],
  options: {
    json: { type: 'boolean', help: 'as one JSON object: equal, stores' }
  },
  exits: [['3', 'the digests differ']],
  examples: [['Has the copy all?', 'hypem digest db copy > /dev/null && echo equal']],
  async run (context, values, paths) {
    const stores = []
    for (const path of paths) {
      const hyper = await context.open(path, null, { mustExist: true })
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
