import HyperEmitter from './index.js'

export default HyperEmitter
export { HyperEmitter }

/** What `messages` of an emitter with this schema would be. */
export declare const compile: typeof HyperEmitter.compile

/** The class of everything with a code of this module. */
export declare const HyperError: typeof HyperEmitter.HyperError
export type HyperError = HyperEmitter.HyperError

/** In an event map: an event whose listeners hear more than `emit` needs, because decoding fills in defaults. */
export type Payload<In, Out> = HyperEmitter.Payload<In, Out>
