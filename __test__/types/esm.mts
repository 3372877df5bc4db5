/** What `import` gives; compiled by `tsc --strict`. */
import HyperEmitter, { HyperError, HyperEmitter as Named } from '../../index.mjs'

interface Events { userAdded: { id: number } }

const emitter: HyperEmitter<Events> = new Named<Events>(':memory:', 'message userAdded { required int32 id = 1; }')
const node: HyperEmitter.Node = await emitter.append('userAdded', { id: 1 })
HyperEmitter.compile<Events>('').userAdded.encode({ id: node.change })
// @ts-expect-error a string is no id
emitter.emit('userAdded', { id: '1' })
try {
  emitter.emit('userAdded', { id: 1 })
} catch (error) {
  if (error instanceof HyperError && error.code === 'ERR_HYPER_CLOSED') { const own: HyperError = error; console.error(own) }
}
