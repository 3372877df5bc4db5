import HyperEmitter from './index.js'

export default HyperEmitter
export { HyperEmitter }

/** What `messages` of an emitter with this schema would be. */
export declare const compile: typeof HyperEmitter.compile

/** The cursor of a node, as text. */
export declare const cursorOf: typeof HyperEmitter.cursorOf

/** Checks a backup, and makes a new store of it. */
export declare const restore: typeof HyperEmitter.restore

/** The class of everything with a code of this module. */
export declare const HyperError: typeof HyperEmitter.HyperError
export type HyperError = HyperEmitter.HyperError

// Every type of the namespace, by name; __test__/types/matrix.test.js tells what is missing.
export type {
  AnyEvents,
  AppendOptions,
  Appender,
  Attempt,
  BackedUp,
  BackupOptions,
  Candidate,
  CaughtUpOptions,
  Codec,
  CompileOptions,
  ConnectCallback,
  ConsumerStats,
  Cursor,
  DecideOptions,
  DecisionQuery,
  Delivery,
  DialOptions,
  EndReason,
  Entries,
  Entry,
  EntryPosition,
  ErrorCode,
  EventMap,
  EventOptions,
  EventPeer,
  EventStream,
  HandleCallback,
  HandleOptions,
  Head,
  Hyperlog,
  ImportOptions,
  Input,
  LevelStore,
  LinkEnd,
  LinkedPeer,
  ListenCallback,
  ListenOptions,
  Listener,
  Message,
  Messages,
  Name,
  NamesFound,
  NamesOr,
  NewEvent,
  Node,
  NodeCallback,
  OneOf,
  Options,
  Output,
  ParkedEntry,
  Payload,
  Peer,
  PeersOption,
  Pin,
  Pins,
  PlainOption,
  ProgressOptions,
  Projection,
  ProjectionDefinition,
  ProjectionEvents,
  ProjectionKey,
  ProjectionStats,
  QueryItem,
  ReadOptions,
  Reducer,
  Restored,
  Right,
  Schema,
  SchemaDifference,
  Security,
  Stats,
  Status,
  StatusEvents,
  Store,
  StoredConsumer,
  StoredProjection,
  StoredSchema,
  StreamEvent,
  StreamInput,
  StreamIterator,
  StreamOptions,
  StuckLog,
  StuckLogBefore,
  SubscribeOptions,
  Subscription,
  SubscriptionEvents,
  SubscriptionHandler,
  TrustOptions,
  Verified
} from './index.js'
