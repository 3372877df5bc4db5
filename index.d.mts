import HyperEmitter from './index.js'

export default HyperEmitter
export { HyperEmitter }

/** What `messages` of an emitter with this schema would be. */
export declare const compile: typeof HyperEmitter.compile

/** The class of everything with a code of this module. */
export declare const HyperError: typeof HyperEmitter.HyperError
export type HyperError = HyperEmitter.HyperError

// Every type of the namespace, by name; __test__/types/matrix.test.js tells what is missing.
export type {
  AnyEvents,
  Codec,
  CompileOptions,
  ConnectCallback,
  EndReason,
  Entry,
  EntryPlace,
  ErrorCode,
  EventMap,
  EventPeer,
  EventStream,
  Head,
  Hyperlog,
  ImportOptions,
  Input,
  LevelStore,
  LinkedPeer,
  LinkEnd,
  ListenCallback,
  Listener,
  Message,
  Messages,
  Name,
  Node,
  NodeCallback,
  Options,
  Output,
  Payload,
  Peer,
  ProgressOptions,
  ReadOptions,
  Schema,
  Stats,
  Status,
  StatusEvents,
  Store,
  StreamEvent,
  StreamInput,
  StreamIterator,
  StreamOptions,
  StuckLog,
  Verified
} from './index.js'
