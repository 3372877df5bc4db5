import HyperEmitter from './index.js'

export default HyperEmitter
export { HyperEmitter }
export const { compile, cursorOf, HyperError, restore } = HyperEmitter
