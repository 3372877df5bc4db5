// Events with types: names, payloads and listeners are checked by the compiler.
//
//   npx tsc --strict --module node16 --target es2022 examples/typescript.ts && node examples/typescript.js

import HyperEmitter = require('..')

interface Events {
  userAdded: { id: number, username: string }
  userRemoved: { id: number }
}

const schema = `
  message userAdded { required int32 id = 1; required string username = 2; }
  message userRemoved { required int32 id = 1; }
`

async function main (): Promise<void> {
  const emitter = new HyperEmitter<Events>(':memory:', schema)
  emitter.on('userAdded', (user) => { console.log(user.username.toUpperCase()) })

  const node = await emitter.append('userAdded', { id: 1, username: 'matteo' })
  console.log('stored as change', node.change)
  await emitter.append('userRemoved', { id: 1 })

  for await (const entry of emitter.read({ names: ['userRemoved'] })) console.log(entry.name, entry.payload?.id)
  await emitter.close()
}

main()
