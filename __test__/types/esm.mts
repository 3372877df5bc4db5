/** What `import` gives; compiled by `tsc --strict`. */
import HyperEmitter, { HyperEmitter as Named } from '../../index.mjs'

interface Events { userAdded: { id: number } }

const emitter: HyperEmitter<Events> = new Named<Events>(':memory:', 'message userAdded { required int32 id = 1; }')
const node: HyperEmitter.Node = await emitter.append('userAdded', { id: 1 })
HyperEmitter.compile<Events>('').userAdded.encode({ id: node.change })
// @ts-expect-error a string is no id
emitter.emit('userAdded', { id: '1' })
