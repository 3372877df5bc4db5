import HyperEmitter from './index.js'

export default HyperEmitter
export { HyperEmitter }
