/// <reference types="node" />

import { KeyObject } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { AddressInfo } from 'node:net'
import { Duplex, Readable, Writable } from 'node:stream'
import { ConnectionOptions, PeerCertificate, TlsOptions } from 'node:tls'

/** A persistent, replicated EventEmitter. `E` maps event names to payload types; without it, every name and payload is accepted. */
interface HyperEmitter<E extends HyperEmitter.EventMap<E> = HyperEmitter.AnyEvents> {
  /** Codecs by event name: the schema's messages, what `registerCodec` added, `Event` and `EventPeer`. */
  readonly messages: HyperEmitter.Messages<E>
  /**
   * The same object as `messages`.
   * @deprecated the name in 1.x: use `messages`
   */
  readonly codecs: HyperEmitter.Messages<E>
  /** Emits events about the store and the peers. */
  readonly status: HyperEmitter.Status
  /** This emitter's id, once `getId` or `listen` has read or created it. Not the id of its log. */
  readonly id?: string
  /**
   * After `ready`: the stream that brings events to listeners. Destroying it ends delivery for good. The same object as `changeStream`.
   * @deprecated kept for code written for 1.x: use `read` to read the log, `pause` and `close` to stop delivery
   */
  changes?: Writable
  /**
   * After `ready`: the same object as `changes`.
   * @deprecated another name of `changes` in 1.x
   */
  changeStream?: Writable
  /**
   * Links by `host:port` (outbound) or a counter (inbound). `destroy` simulates a failure: an outbound link is dialled again.
   * @deprecated kept for code written for 1.x: use `stats().peers` and `status`
   */
  readonly _peers: { readonly [key: string]: { destroy (): void } }
  /**
   * Read access to the log with the names of the hyperlog module.
   * @deprecated kept for code written for 1.x: use `read`, `get`, `heads` and `stats`
   */
  readonly _hyperlog: HyperEmitter.Hyperlog

  /**
   * Nobody calls this form. It makes an emitter acceptable to `once` and `on` of node:events, which expect an `emit` that returns a boolean.
   * @internal
   */
  emit (name: never): never
  /**
   * Append an event. The callback runs once the event is durable, before any listener hears it, in the order of the calls.
   * A payload that cannot be encoded throws immediately.
   */
  emit<K extends HyperEmitter.Name<E>> (name: K, payload: HyperEmitter.Input<E, K>, callback?: HyperEmitter.NodeCallback): this
  emit<K extends HyperEmitter.Name<E>> (name: K, payload: HyperEmitter.Input<E, K>, options: HyperEmitter.EventOptions & HyperEmitter.AppendOptions<HyperEmitter.Name<E>>, callback?: HyperEmitter.NodeCallback): this
  /** Like `emit`, but returns a promise of the stored node. A payload that cannot be encoded rejects it. */
  append<K extends HyperEmitter.Name<E>> (name: K, payload: HyperEmitter.Input<E, K>, options?: HyperEmitter.EventOptions & HyperEmitter.AppendOptions<HyperEmitter.Name<E>>): Promise<HyperEmitter.Node>
  /** Append several events, at most 1,024 and 4 MiB: all of them are stored, in order and without other events in between, or none. */
  append (events: readonly HyperEmitter.NewEvent<E>[], options?: HyperEmitter.AppendOptions<HyperEmitter.Name<E>>): Promise<HyperEmitter.Node[]>
  /**
   * Read the events that match, and call `decider` with them. The `append` that it is given stores its events only if no matching event was
   * stored meanwhile; otherwise everything is repeated, at most 10 times. Resolves to what `decider` returns.
   */
  decide<T, const N extends HyperEmitter.Name<E> | Iterable<HyperEmitter.Name<E>> = HyperEmitter.Name<E>, const Q extends HyperEmitter.QueryItem<HyperEmitter.Name<E>> = never> (query: HyperEmitter.DecisionQuery<HyperEmitter.Name<E>, N, Q>, decider: (events: HyperEmitter.Entry<E, HyperEmitter.NamesFound<HyperEmitter.Name<E>, N, Q>>[], how: { append: HyperEmitter.Appender<E>, after: number }) => T | Promise<T>, options?: HyperEmitter.DecideOptions): Promise<T>

  /**
   * Hear events appended after `ready`, by this emitter or a peer. A listener with two or more parameters gets `done`: until it
   * calls it, no further events are delivered to any listener.
   */
  on<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** The same as `on`. */
  addListener<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** Like `on`, but adds the listener before the existing ones. */
  prependListener<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** Hear one event, then be removed. */
  once<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** Like `once`, but adds the listener before the existing ones. */
  prependOnceListener<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** Remove one registration of `listener`. If it is not registered, nothing happens. */
  removeListener<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** The same as `removeListener`. */
  off<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** Remove all listeners, of one name or of all. */
  removeAllListeners (name?: HyperEmitter.Name<E>): this
  /** How many listeners `name` has, or, with `listener`, how often that one is registered. */
  listenerCount<K extends HyperEmitter.Name<E>> (name: K, listener?: HyperEmitter.Listener<E, K>): number
  /** The listeners of `name`. */
  listeners<K extends HyperEmitter.Name<E>> (name: K): Array<HyperEmitter.Listener<E, K>>
  /** Like `listeners`, but for a listener added by `once` it returns a wrapper that removes and calls it; the wrapper's property `listener` is the original. */
  rawListeners<K extends HyperEmitter.Name<E>> (name: K): Array<HyperEmitter.Listener<E, K>>
  /** Names that have listeners. */
  eventNames (): Array<HyperEmitter.Name<E>>
  /**
   * Like the method of Node.js, but without effect: there is no warning about many listeners.
   * @deprecated has no effect
   */
  setMaxListeners (count: number): this
  getMaxListeners (): number
  /** Stop delivery after the current event. If a listener calls it while it hears an event, only that listener is paused. Nothing is lost. */
  pause (): this
  /** Continue delivery, also to listeners that have paused themselves. */
  resume (): this
  /** Whether delivery is paused, for all listeners or for one. */
  isPaused (): boolean

  /** Encode and decode the events called `name` with `codec`. */
  registerCodec<K extends HyperEmitter.Name<E>> (name: K, codec: HyperEmitter.Codec<HyperEmitter.Input<E, K>, HyperEmitter.Output<E, K>>): this
  registerCodec (codecs: Array<{ name: string, codec: HyperEmitter.Codec }> | { readonly [name: string]: HyperEmitter.Codec }): this

  /** This emitter's id. It is created when first asked for, and kept in the store. */
  getId (callback: (error: HyperEmitter.HyperError | null, id: string) => void): void
  getId (): Promise<string>

  /**
   * Replicate with the emitter that listens there. After every failure it is dialled again, until `close`.
   * Fails after ten attempts in a row if none ever succeeded.
   */
  connect (port: number | string, callback: HyperEmitter.ConnectCallback): void
  connect (port: number | string, host: string | null | undefined, callback: HyperEmitter.ConnectCallback): void
  connect (port: number | string, host: string | null | undefined, how: HyperEmitter.DialOptions, callback: HyperEmitter.ConnectCallback): void
  connect (port: number | string, how: HyperEmitter.DialOptions, callback: HyperEmitter.ConnectCallback): void
  connect (port: number | string, host?: string | null, how?: HyperEmitter.DialOptions): Promise<void>
  connect (port: number | string, how: HyperEmitter.DialOptions): Promise<void>

  /** Accept peers. Port 0 chooses a free port; without a host it listens on all interfaces. Emits an `EventPeer` when the address is new. */
  listen (port: number | string, callback: HyperEmitter.ListenCallback): void
  listen (port: number | string, host: string | null | undefined, callback: HyperEmitter.ListenCallback): void
  listen (port: number | string, host: string | null | undefined, how: HyperEmitter.ListenOptions, callback: HyperEmitter.ListenCallback): void
  listen (port: number | string, how: HyperEmitter.ListenOptions, callback: HyperEmitter.ListenCallback): void
  listen (port: number | string, host?: string | null, how?: HyperEmitter.ListenOptions): Promise<AddressInfo>
  listen (port: number | string, how: HyperEmitter.ListenOptions): Promise<AddressInfo>

  /**
   * Replicates over a stream of your own: a TLSSocket, a stream of a WebSocket, an SSH channel. Resolves to the peer once the link
   * is established. Exactly one of the two sides must pass `dialled: true`. When the link ends, the stream is closed, and it is not opened again.
   */
  handle (duplex: Duplex, how?: HyperEmitter.HandleOptions): Promise<HyperEmitter.LinkedPeer>
  handle (duplex: Duplex, how: HyperEmitter.HandleOptions | undefined, callback: HyperEmitter.HandleCallback): void
  handle (duplex: Duplex, callback: HyperEmitter.HandleCallback): void

  /** This emitter's public key as text; null without `identity`. Peers list it under `peers`, and pass it to `connect`. */
  readonly publicKey: string | null

  /** Sets who may connect, like the option `peers`. Links that have lost their right end at once. */
  setPeers (peers?: HyperEmitter.PeersOption): this

  /** Sets whose links without encryption are accepted, like the option `plain`. */
  setPlain (plain?: HyperEmitter.PlainOption): this

  /** Sets whose logs are stored, like the options of the same names. Sets all three: one that is left out is reset to its default. What is already stored stays. */
  setTrust (trust: HyperEmitter.TrustOptions): this

  /** A duplex of `{ name, payload }`: what you write is emitted; stored events are read from it. It stays live until it is destroyed. */
  stream (options?: HyperEmitter.StreamOptions): HyperEmitter.EventStream<E>

  /** Stored events as an async iterable, each with its position in the log. */
  read<const N extends HyperEmitter.Name<E> | Iterable<HyperEmitter.Name<E>> = HyperEmitter.Name<E>, const Q extends HyperEmitter.QueryItem<HyperEmitter.Name<E>> = never> (options?: HyperEmitter.ReadOptions<HyperEmitter.Name<E>, N, Q>): HyperEmitter.Entries<HyperEmitter.Entry<E, HyperEmitter.NamesFound<HyperEmitter.Name<E>, N, Q>>>
  /**
   * A durable consumer: the handler is called at least once for each stored event that matches, and for those that follow. Events with the same key come
   * in the order of the log. The subscription continues where it stopped, even after a crash. If the handler returns a promise, it is waited for. An entry
   * that fails is tried again, and parked after its last attempt.
   */
  subscribe<const N extends HyperEmitter.Name<E> | Iterable<HyperEmitter.Name<E>> = HyperEmitter.Name<E>, const Q extends HyperEmitter.QueryItem<HyperEmitter.Name<E>> = never> (name: string, query: HyperEmitter.DecisionQuery<HyperEmitter.Name<E>, N, Q> | null | undefined, handler: HyperEmitter.SubscriptionHandler<E, HyperEmitter.NamesFound<HyperEmitter.Name<E>, N, Q>>, options?: HyperEmitter.SubscribeOptions<E, HyperEmitter.NamesFound<HyperEmitter.Name<E>, N, Q>>): HyperEmitter.Subscription<E, HyperEmitter.NamesFound<HyperEmitter.Name<E>, N, Q>>
  /** Without a handler, a loop takes the entries of the subscription, and answers each with `ack` or `fail`. */
  subscribe<const N extends HyperEmitter.Name<E> | Iterable<HyperEmitter.Name<E>> = HyperEmitter.Name<E>, const Q extends HyperEmitter.QueryItem<HyperEmitter.Name<E>> = never> (name: string, query?: HyperEmitter.DecisionQuery<HyperEmitter.Name<E>, N, Q> | null, options?: HyperEmitter.SubscribeOptions<E, HyperEmitter.NamesFound<HyperEmitter.Name<E>, N, Q>>): HyperEmitter.Subscription<E, HyperEmitter.NamesFound<HyperEmitter.Name<E>, N, Q>> & AsyncIterable<HyperEmitter.Delivery<E, HyperEmitter.NamesFound<HyperEmitter.Name<E>, N, Q>>>
  /** The stored records of a subscription that is not running. */
  consumer (name: string): HyperEmitter.StoredConsumer
  /**
   * States derived from the log by reducers: one, or one per key. They follow the log, and are kept in the store, so that no event is applied twice.
   * An emitter can have only one projection of a name at a time.
   */
  project<State> (name: string, definition: HyperEmitter.ProjectionDefinition<E, State>): HyperEmitter.Projection<State>
  /** The stored part of a projection that is not running. */
  projection (name: string): HyperEmitter.StoredProjection
  /** The node with this key, or undefined. */
  get (key: string): Promise<HyperEmitter.Node | undefined>
  /** The nodes that no other node links to yet. */
  heads (): Promise<HyperEmitter.Head[]>
  /**
   * Resolves once this emitter has stored the event that a cursor names; the result is its change here. Use it to read what was written through
   * another emitter. Rejects with `ERR_HYPER_TIMEOUT` after `timeout`, and with `ERR_HYPER_CLOSED` when the emitter closes.
   */
  caughtUp (cursor: HyperEmitter.Cursor, options?: HyperEmitter.CaughtUpOptions): Promise<number>
  /** The change stored under `name` by `position(name, change)`, or undefined. */
  position (name: string): Promise<number | undefined>
  /** Store under `name`, durably, how far a reader has come. A change beyond the end of the log is refused. */
  position (name: string, change: number): Promise<void>
  /** Equal on two emitters exactly when they hold the same logs. Lowercase hexadecimal. */
  digest (): Promise<string>
  /** The messages that the events emitted here were encoded with, in each of their forms, and the fields that this emitter's schema cannot read. */
  schemas (): Promise<HyperEmitter.StoredSchema[]>
  /** Recompute every key, link and digest. If something is damaged, rejects and says where the first damage is. */
  verify (options?: HyperEmitter.ProgressOptions): Promise<HyperEmitter.Verified>
  /** Make a backup of an embedded store in a folder, or bring the one in it up to date, also while events are stored. */
  backup (folder: string, options?: HyperEmitter.BackupOptions): Promise<HyperEmitter.BackedUp>
  /** Copy the content of another store: a levelup or abstract-level object, or the path of an embedded store. Resolves to the number of new rows. */
  importFrom (source: HyperEmitter.LevelStore | string, options?: HyperEmitter.ImportOptions): Promise<number>
  /**
   * Replace this emitter's version of a forked log by the version of the peers. What this emitter held from the fork on moves to a new log, and
   * the promise resolves to the id of that log. The peers' version is then received from them. `key` chooses one if there are several (`theirs` in `stats().stuck`).
   */
  adopt (log: string, options?: { key?: string }): Promise<string>
  /** Runtime statistics of the store and the links. */
  stats (): Promise<HyperEmitter.Stats>

  /** Resolves when the store is open; rejects when it cannot be opened. */
  ready (): Promise<void>
  /**
   * Stop accepting peers, answer pending emits, release the store. May be called twice. Other calls then fail with `ERR_HYPER_CLOSED`.
   * If the store fails to close, the promise is rejected; with a callback, `status` emits a `warning` instead.
   */
  close (callback: (this: this) => void): void
  close (): Promise<void>
  [Symbol.asyncDispose] (): Promise<void>
}

interface HyperEmitterConstructor {
  /**
   * @param store path of a folder, `':memory:'` or nothing for memory, or a levelup or abstract-level object
   * @param schema text of a .proto file, as string, Buffer or stream; an object of codecs; or nothing
   */
  new <E extends HyperEmitter.EventMap<E> = HyperEmitter.AnyEvents> (store?: HyperEmitter.Store, schema?: HyperEmitter.Schema, options?: HyperEmitter.Options | null): HyperEmitter<E>
  <E extends HyperEmitter.EventMap<E> = HyperEmitter.AnyEvents> (store?: HyperEmitter.Store, schema?: HyperEmitter.Schema, options?: HyperEmitter.Options | null): HyperEmitter<E>
  readonly prototype: HyperEmitter<any>

  /** Returns the `messages` that an emitter with this schema would have. */
  compile<E extends HyperEmitter.EventMap<E> = HyperEmitter.AnyEvents> (schema: string | Uint8Array, options?: HyperEmitter.CompileOptions): HyperEmitter.Messages<E>
  /** The cursor of a node, or of anything with its log, seq and key, as text. */
  cursorOf (event: { readonly log: string, readonly seq: number, readonly key: string }): string
  /** Check the backup in a folder, and make a new store of it in another folder, which is missing or empty. The store goes on in a log of its own. */
  restore (backup: string, folder: string, options?: HyperEmitter.ProgressOptions): Promise<HyperEmitter.Restored>
  /** The class of every error with a code of this module: `if (error instanceof HyperError)` narrows to its `code`. */
  readonly HyperError: HyperErrorConstructor
}

interface HyperErrorConstructor {
  new (code: HyperEmitter.ErrorCode, message: string, options?: { cause?: unknown }): HyperEmitter.HyperError
  readonly prototype: HyperEmitter.HyperError
}

declare const HyperEmitter: HyperEmitterConstructor

declare const payloadTypes: unique symbol

declare namespace HyperEmitter {
  /** Any object type or interface whose members are event names. */
  type EventMap<E> = { [K in keyof E]: unknown }
  /** Accepts every name and every payload, as 1.x does. */
  interface AnyEvents { [name: string]: any }

  /** In an event map: an event whose listeners hear more than `emit` needs, because decoding fills in defaults. */
  interface Payload<In, Out> { readonly [payloadTypes]: [In, Out] }

  /** An address at which an emitter listens, announced by `listen`. */
  interface EventPeer { id: string, addresses: Array<{ ip: string, port: number }> }
  interface CoreEvents { EventPeer: EventPeer }

  type Name<E> = Extract<keyof E | keyof CoreEvents, string>
  type Of<E, K> = K extends keyof E ? E[K] : K extends keyof CoreEvents ? CoreEvents[K] : never
  /** What `emit` takes for the event `K`. */
  type Input<E, K> = Of<E, K> extends Payload<infer In, any> ? In : Of<E, K>
  /** What listeners of the event `K` hear. */
  type Output<E, K> = Of<E, K> extends Payload<any, infer Out> ? Out : Of<E, K>

  type Listener<E extends EventMap<E>, K> = (this: HyperEmitter<E>, payload: Output<E, K>, done: (error?: unknown) => void) => void
  type NodeCallback = (error: HyperError | null, node: Node) => void
  type ConnectCallback = (error?: HyperError | NodeJS.ErrnoException | null) => void
  type ListenCallback = (error: HyperError | NodeJS.ErrnoException | null, address: AddressInfo) => void

  type Store = string | LevelStore | null | undefined
  /** A levelup or abstract-level object of any version. It must hold bytes. */
  interface LevelStore {
    get (...args: any[]): any
    batch (...args: any[]): any
    close (...args: any[]): any
  }

  type Schema = string | Uint8Array | NodeJS.ReadableStream | { readonly [name: string]: Codec } | null | undefined | false

  interface CompileOptions {
    /** Where imports are looked up: folders, or an object from import path to text. */
    include?: string | string[] | { readonly [path: string]: string }
    /** Name of the schema in error messages. */
    file?: string
    /** With `'standard'`, payloads are encoded as other protobuf programs encode them, and 1.x peers are refused. */
    protobuf?: '1.x' | 'standard'
    /** With `true`, payloads that would be stored as something else are refused with `ERR_HYPER_VALUE`. Default: `true` with `protobuf: 'standard'`. */
    strict?: boolean
  }

  /** A log up to an entry, and its digest there, as `stats().logs` has them. */
  interface Pin { log: string, seq: number, digest: string }

  /** Several pins: a list, or an object by log id. */
  type Pins = readonly Pin[] | { readonly [log: string]: { seq: number, digest: string } }

  interface TrustOptions {
    /** Whose sealed logs are stored: everybody's, those of the keys in `peers`, or those of the listed public keys. This emitter's own logs are always stored. Default `'all'`. */
    authors?: 'all' | 'peers' | readonly string[]
    /** Which logs without seals are stored: all, none, or the listed ones up to their pins. Default: `'refuse'` with `identity`, else `'accept'`. */
    unsigned?: 'accept' | 'refuse' | Pins
    /** Authors whose logs are frozen. `true`: nothing is added to what is stored here. Pins: nothing is stored beyond them. */
    revoked?: { readonly [publicKey: string]: true | Pins }
  }

  interface Options extends CompileOptions, TrustOptions {
    /** Milliseconds before a failed link is dialled again; grows with each failure. Default 1000. */
    reconnectTimeout?: number
    /**
     * With `true`, the store in the folder is only read, and another process may have it open meanwhile. What that process stores is heard within 50 ms.
     * Nothing is written to the folder; whatever would write fails with `ERR_HYPER_READ_ONLY`.
     */
    readOnly?: boolean
    /** With `false`, peers that the store remembers from a previous run are not dialled. */
    dial?: boolean
    /** Largest event accepted by `emit`, in bytes, name and framing included. Default 8 MiB. */
    maxEventSize?: number
    /** Bytes of emits that may wait for the store. Default 256 MiB. */
    maxPending?: number
    /** Rejections of listeners go to the method `Symbol.for('nodejs.rejection')` if there is one, else to `error` on `status`. Default: `EventEmitter.captureRejections`. */
    captureRejections?: boolean
    /**
     * This emitter's Ed25519 private key: the path of a PEM file (PKCS#8; `hypem keygen FILE` makes one), its text, or a KeyObject. Links
     * are then encrypted, both ends prove who they are, and what this emitter writes is sealed with it.
     */
    identity?: string | Buffer | KeyObject
    /** A secret shared by a group, 32 bytes or 64 hexadecimal digits. A peer that does not know it gets no byte back. */
    secret?: Uint8Array | string
    /** The name of the network. Emitters of another network are refused. The store keeps the name once it was given. */
    network?: string
    /** Who may connect, and with which right; nobody else may. Default: the keys passed to `connect`, and everyone who knows `secret`. */
    peers?: PeersOption
    /** Which peers may use links without encryption (1.x peers, and 2.x peers without `identity`). Default: all without `identity`, none with one. */
    plain?: PlainOption
    /**
     * Functions that bring events of an old form to the new one, by event name: listeners, `read` and streams get what they return for the decoded payload.
     * What is stored does not change.
     */
    upcast?: { readonly [name: string]: (payload: any, event: { name: string, change: number }) => any }
    /** Functions that derive tags from payloads, by event name, for events emitted without any. */
    tags?: { readonly [name: string]: (payload: any) => Iterable<string> | undefined }
    /** Options of node:tls for links with `tls: true`. */
    tls?: TlsOptions & ConnectionOptions
  }

  /** What a peer may do here. `write` includes reading. */
  type Right = 'read' | 'write'

  /** A peer that wants to connect, for the function `peers`. */
  interface Candidate {
    direction: 'in' | 'out'
    address: string
    port: number
    /** Its public key; undefined over TLS. */
    key?: string
    /** Its certificate, over TLS. */
    certificate?: PeerCertificate
  }

  /**
   * Maps public keys (`ed25519-…`) to rights. Over TLS the keys may also be `sha256:` and a certificate's fingerprint in hexadecimal digits, or `dns:` and
   * a name that the certificate is for. Instead of a map, a function may be given. It returns a right, or nothing to refuse the peer.
   */
  type PeersOption =
    | { readonly [key: string]: Right }
    | ReadonlyMap<string, Right>
    | ((peer: Candidate) => Right | null | undefined | false | Promise<Right | null | undefined | false>)

  /** `from`: addresses and address ranges in CIDR form, default all; `can`: their right, default `write`. */
  type PlainOption = boolean | Right | { from?: string[], can?: Right }

  interface DialOptions {
    /** The public key that the peer must prove to have, each time it is dialled, even after a restart. */
    key?: string
    /** Dials without encryption although this emitter has an identity. The value is the right that the peer gets; `true` is `'write'`. */
    plain?: boolean | Right
    /** Dials with TLS. `true`: with the options `tls` of the constructor. */
    tls?: true | ConnectionOptions
  }

  interface ListenOptions {
    /** Accepts only TLS connections. `true`: with the options `tls` of the constructor. */
    tls?: true | TlsOptions
  }

  interface HandleOptions {
    /** Whether this side counts as the one that dialled. Exactly one of the two must. Default false. */
    dialled?: boolean
    /** The public key that the peer must prove to have. */
    key?: string
    /** The right of a peer that you vouch for. The stream is then used as it is, without encryption inside. */
    can?: Right
  }

  type HandleCallback = (error: HyperError | null, peer: LinkedPeer) => void

  /** How one event is encoded. */
  interface Codec<In = any, Out = any> {
    encode (payload: In): Uint8Array | string
    decode (bytes: Buffer): Out
  }

  /** A compiled message. */
  interface Message<In = any, Out = any> extends Codec<In, Out> {
    readonly name: string
    readonly type: 2
    readonly message: true
    readonly buffer: true
    encode: ((payload: In, buffer?: Uint8Array, offset?: number) => Buffer) & { bytes: number }
    decode: ((bytes: Uint8Array, start?: number, end?: number) => Out) & { bytes: number }
    /** The number of bytes that `encode` would write. */
    encodingLength (payload: In): number
    /** The protobuf JSON form. Fields without presence that hold their default are omitted. */
    toJSON (payload: Out): any
    /** The payload from its protobuf JSON form. Throws `ERR_HYPER_VALUE` with the path of the field that does not fit. */
    fromJSON (json: any): Out
  }

  type Messages<E> =
    { readonly [K in Name<E>]: Message<Input<E, K>, Output<E, K>> } &
    { readonly [name: string]: any }

  /** A stored event, with its log and its links. */
  interface Node {
    /** Hash of links and value: lowercase hexadecimal SHA-256. */
    key: string
    /** Keys of its causes, ascending. */
    links: string[]
    /** The log it was appended to, and its number there, from 1. */
    log: string
    seq: number
    /** Its number in this store, from 1, without gaps. */
    change: number
    /** The event as stored. */
    value: Buffer
    identity: Buffer | null
    signature: Buffer | null
  }

  /** A node that no other node links to: its change, its key, its log and its number there. */
  interface Head {
    change: number
    key: string
    log: string
    seq: number
  }

  interface EventOptions {
    /** Strings by which the event can be found: at most 16 different ones of 1 to 256 bytes. */
    tags?: Iterable<string>
  }

  /** Which events a decision depends on. Without any property: on all events. */
  interface DecisionQuery<K = string, N = K | Iterable<K>, Q = QueryItem<K>> {
    /** Events with this name, or with one of these. */
    names?: N
    /** Events with this tag, or with all of these. */
    tags?: string | Iterable<string>
    /** Events that match one of these items; in place of `names` and `tags`. */
    query?: Iterable<Q>
  }

  /** What an append depends on. It is checked by this emitter, against what it has stored. */
  interface AppendOptions<K = string> {
    /** A string of 1 to 256 bytes. If an append with this id was stored before, nothing is stored, and the result is the nodes of that append. */
    id?: string
    /** Fail with `ERR_HYPER_CONDITION` if a matching event was stored after the change, or the event, `after` (default 0). */
    failIf?: DecisionQuery<K> & { after?: number | Cursor }
  }

  interface DecideOptions {
    /** Attempts after the first one. Default 10. */
    retries?: number
    /** Ends the reading with its reason. */
    signal?: AbortSignal
  }

  /** The `append` that a decider is given. */
  interface Appender<E extends EventMap<E> = AnyEvents> {
    <K extends Name<E>> (name: K, payload: Input<E, K>, options?: EventOptions & { id?: string }): Promise<Node>
    (events: readonly NewEvent<E>[], options?: { id?: string }): Promise<Node[]>
  }

  /** Stored events as `read` returns them. */
  interface Entries<T> extends AsyncIterableIterator<T> {
    /** The change up to which all matching events have been returned. Undefined before the first event. At the end of the loop it covers everything that was read. */
    readonly after?: number
  }

  /** An event to append together with others. */
  type NewEvent<E extends EventMap<E> = AnyEvents, K = Name<E>> = K extends Name<E> ? { name: K, payload: Input<E, K>, tags?: Iterable<string> } : never

  /** One alternative of a query: events with one of these names, if any are given, and with all of these tags. */
  interface QueryItem<K = string> {
    readonly names?: K | Iterable<K>
    readonly tags?: string | Iterable<string>
  }

  /** The names that a query can find: those of its `names`, or of its items. If an item has no `names`, all of `K`. */
  type NamesFound<K, N, Q> = [Q] extends [never] ? OneOf<N> : Q extends { readonly names?: infer X } ? NamesOr<K, X> : K
  type NamesOr<K, X> = unknown extends X ? K : [NonNullable<X>] extends [never] ? K : OneOf<NonNullable<X>>
  type OneOf<N> = N extends string ? N : N extends Iterable<infer X> ? X : never

  /** An event as `read` returns it. */
  type Entry<E extends EventMap<E> = AnyEvents, K = Name<E>> = K extends Name<E> ? EntryPosition & {
    name: K
    /** Decoded. Absent if no codec knows the event, if its bytes do not decode, or if `raw` was asked for. */
    payload?: Output<E, K>
    /** The payload's bytes, if there is no `payload`. */
    raw?: Buffer
    /** Why the bytes do not decode: `ERR_HYPER_DECODE`, with what the codec threw as `cause`. */
    error?: HyperError
  } : never

  interface EntryPosition {
    change: number
    /** Names the event at every emitter; `change` is its number in this store only. */
    cursor: string
    key: string
    log: string
    seq: number
    /** The event's tags; absent if there are none. */
    tags?: string[]
    /** The public key of the log's owner. Absent in logs without seals. */
    author?: string
    links: string[]
    /** When it was emitted, in milliseconds since 1970 by the emitter's clock. May be a number that no Date can hold. Absent in events of 1.x. */
    time?: number
  }

  /**
   * Names an event at every emitter: the `cursor` of an entry, an entry or a node itself, or `{ log, seq, key }`. Without `key` it means whatever
   * is stored as that entry of the log.
   */
  type Cursor = string | { readonly log: string, readonly seq: number, readonly key?: string }

  interface CaughtUpOptions {
    /** How long to wait, in milliseconds; with 0 it only checks. Default: until the emitter closes. */
    timeout?: number
    /** Also wait until the event, and all events before it, have been delivered: listeners were called, and those that take `done` have called it. */
    delivered?: boolean
  }

  interface ReadOptions<K = string, N = K | Iterable<K>, Q = QueryItem<K>> {
    /** Start after this change, or after the event that a cursor names. The log must reach that far; with `live`, `read` waits until it does. Default 0: the beginning. */
    since?: number | Cursor
    /** End with this change. */
    until?: number
    /** Continue with what is stored later, until the loop is left or the emitter closes. */
    live?: boolean
    /** Only events with this name, or with one of these. */
    names?: N
    /** Only events with this tag, or with all of these. */
    tags?: string | Iterable<string>
    /** Only events that match one of these items; in place of `names` and `tags`. At most 64, of 64 names and tags each. */
    query?: Iterable<Q>
    /** Only events emitted at this time or later, by their emitters' clocks. Those of 1.x have no time, and are left out. */
    from?: Date | number
    /** Only events emitted at this time or before. */
    to?: Date | number
    /** Newest first. */
    reverse?: boolean
    /** Return at most this many events. */
    limit?: number
    /** Do not decode: every event has `raw`. */
    raw?: boolean
    /** Ends the reading with its reason. */
    signal?: AbortSignal
  }

  /** Called for each entry of a subscription. */
  type SubscriptionHandler<E extends EventMap<E> = AnyEvents, K = Name<E>> = (entry: Entry<E, K>, context: Attempt<E>) => unknown

  /** The second argument of a handler. */
  interface Attempt<E extends EventMap<E> = AnyEvents> {
    /** Which attempt at the entry this is, from 1. */
    readonly attempt: number
    /** Aborted when the attempt has taken longer than `timeout`, or the subscription gives it up. */
    readonly signal: AbortSignal
    /**
     * Append an event. It is encoded at once; if that fails, the call throws. It is stored once the handler has succeeded, in the same commit as the fact that
     * the entry is done: exactly once, even if the handler runs several times.
     */
    append<N extends Name<E>> (name: N, payload: Input<E, N>, options?: EventOptions): void
    append (events: readonly NewEvent<E>[]): void
  }

  interface SubscribeOptions<E extends EventMap<E> = AnyEvents, K = Name<E>> {
    /** Where a new name starts: with the first event, with what is stored after this call (before `ready`: after opening), or after a change or the event of a cursor. Default `'beginning'`. A name that the store knows continues at its checkpoint. */
    from?: 'beginning' | 'now' | number | Cursor
    /** Entries with the same key are handled one after the other, in the order of the log. Default: all of them. */
    key?: (entry: Entry<E, K>) => string | number
    /** How many keys are handled at the same time, at most 1,024. Default 16. Only with `key`: without it, entries are handled one at a time. */
    concurrency?: number
    /** The number of failed attempts after which an entry is parked. Default 10. */
    attempts?: number
    /**
     * Milliseconds before the next attempt: a number; a list with an item for each attempt (the last one is used for all further attempts); or a function.
     * Default: from 0.1 s to 30 s, twice as long each time.
     */
    backoff?: number | readonly number[] | ((attempt: number, error: Error, entry: Entry<E, K>) => number)
    /** Milliseconds after which an attempt counts as failed. Default 30,000. */
    timeout?: number
    /** How often a checkpoint is stored: after so many entries, or so many milliseconds. Default 1,024 and 200. */
    checkpoint?: { every?: number, within?: number }
    /** This subscription is one of `size` members, which share the keys. `member` counts from 0. */
    group?: { member: number, size: number }
    /** Do not decode: every entry has `raw`. */
    raw?: boolean
    /** Stops the subscription. */
    signal?: AbortSignal
  }

  /** An entry that failed at every attempt. */
  interface ParkedEntry {
    cursor: string
    change: number
    /** The event's name. */
    name?: string
    attempts: number
    /** Message and stack of the last error, cut to 500 and 1,500 characters. */
    reason: string
    stack?: string
    /** When it was parked, in milliseconds since 1970. */
    at: number
  }

  /** An entry of a subscription without a handler. Its attempt begins when the loop takes it. */
  interface Delivery<E extends EventMap<E> = AnyEvents, K = Name<E>> extends Attempt<E> {
    entry: Entry<E, K>
    /** The entry is done. */
    ack (): void
    /** The attempt has failed. */
    fail (error?: unknown): void
  }

  /** The stored records of a subscription that is not running in this emitter. */
  interface StoredConsumer {
    readonly name: string
    /** Parked entries, in the order of the log. */
    parked (): Promise<ParkedEntry[]>
    /** Have a parked entry handled once more when the subscription starts. */
    retry (entry: Cursor | ParkedEntry): Promise<void>
    /** Drop a parked entry: it then counts as done. */
    skip (entry: Cursor | ParkedEntry): Promise<void>
    /** Let the subscription start again at `from`, with nothing parked. Default: at the beginning. Rejects if the store does not know the name. */
    reset (from?: 'beginning' | 'now' | number | Cursor): Promise<void>
    /** Delete the records. */
    remove (): Promise<void>
  }

  /** The state of a subscription. */
  interface ConsumerStats {
    name: string
    /** Whether it is running in this emitter. */
    live: boolean
    /** The change up to which everything is done. */
    change: number
    /** How many changes are stored after that, including those that its query does not match. */
    behind: number
    /** How long ago the first of them was emitted, in milliseconds; null if that is not known. */
    age: number | null
    /** The number of entries that were taken but are not done. */
    undone: number
    parked: number
    /** Why its records cannot be read, if they cannot. */
    fault?: string
  }

  interface SubscriptionEvents<E extends EventMap<E> = AnyEvents, K = Name<E>> {
    /** An entry is parked. */
    parked: [parked: ParkedEntry, error: Error]
    /** An attempt has failed; the next one comes after `delay` milliseconds. */
    failed: [error: Error, entry: Entry<E, K>, how: { attempt: number, delay: number }]
    /** Everything that is stored has been handled or parked, up to this change. */
    caughtUp: [change: number]
    /** The subscription cannot continue, and stops. Without a listener, `status` emits a `warning`. */
    error: [error: Error]
  }

  /** A durable consumer, as `subscribe` returns it. */
  interface Subscription<E extends EventMap<E> = AnyEvents, K = Name<E>> extends EventEmitter<SubscriptionEvents<E, K>> {
    /** Its name in the store; with `group`, `name@member/size`. */
    readonly name: string
    /**
     * Resolves once everything stored before the call, or everything up to the event of a cursor, has been handled or parked, and no parked entry is being
     * handled again. Rejects when the subscription stops, with the cause if the subscription has failed.
     */
    caughtUp (cursor?: Cursor): Promise<void>
    /** Parked entries, in the order of the log. */
    parked (): Promise<ParkedEntry[]>
    /**
     * Handle a parked entry again, from its first attempt. If the entry is not parked yet but waits for its next attempt, that attempt begins at once.
     * Resolves once the request is stored, not when the entry has been handled: `caughtUp()` waits for that.
     */
    retry (entry: Cursor | ParkedEntry): Promise<void>
    /** Drop a parked entry (even while it is handled again), or one that waits for its next attempt. It then counts as done. */
    skip (entry: Cursor | ParkedEntry): Promise<void>
    /** Begin no further attempts until `resume`. */
    pause (): this
    resume (): this
    isPaused (): boolean
    /** Begin no further attempts, wait for handlers that are running, and store a checkpoint. A handler must not wait for it, because `stop` waits for the handler. */
    stop (): Promise<void>
    [Symbol.asyncDispose] (): Promise<void>
  }

  /** The definition of a projection: which events change its states, and how. */
  interface ProjectionDefinition<E extends EventMap<E> = AnyEvents, State = any> {
    /** A whole number from 0. If the definition derives other states, give it another version: it is derived beside the old one, which answers until the new one is complete. Default 1. */
    version?: number
    /** Which events are read. Default: those that have a reducer. */
    query?: DecisionQuery<Name<E>>
    /** The state before the first event: a function of the key, or a value, which is copied for each key. */
    init: State | ((key: string) => State)
    /** The reducers: each returns the state after an event, or undefined to remove the state of the key. They must be synchronous, and must not change their arguments. */
    on: { readonly [K in Name<E>]?: Reducer<E, State, K> }
    /** The keys whose states an event changes. Default: there is one state. */
    key?: (entry: Entry<E>) => ProjectionKey | readonly ProjectionKey[] | null | undefined
    /** Where the states are. `'memory'`: only in memory, so they are derived again at each start. Default `'kept'`: in the emitter's store, unless that is in memory. */
    store?: 'kept' | 'memory'
    /** When changed states are stored: after reading so many changes of the log, or so many milliseconds after a state has changed. Default 65,536 and 1,000. */
    snapshot?: { every?: number, within?: number }
  }

  /** Keys are used as text. */
  type ProjectionKey = string | number | bigint

  type Reducer<E extends EventMap<E> = AnyEvents, State = any, K extends Name<E> = Name<E>> = (state: State, payload: Output<E, K>, entry: Entry<E, K>) => State | undefined

  interface ProjectionEvents {
    /** The states of this version answer from now on. */
    live: [version: number]
    /** Everything that is stored is in the states, up to this change. */
    caughtUp: [change: number]
    /** The projection cannot continue. An error about an event has `cursor`, `event`, `change` and `cause`. Without a listener, `status` emits a `warning`. */
    error: [error: Error]
  }

  /** States derived from the log, as `project` returns it. */
  interface Projection<State = any> extends EventEmitter<ProjectionEvents> {
    readonly name: string
    readonly version: number
    /** The state of a key, or undefined; in a projection without `key`, the state. Do not change it. After a failure, it is the state before the event that could not be applied. */
    get (key?: ProjectionKey): Promise<State | undefined>
    /** All keys with their states, in no particular order, each as it is when the loop reaches it. */
    entries (): AsyncGenerator<[key: string, state: State], void, undefined>
    /** Resolves once everything stored before the call, or everything up to the event of a cursor, is in the states that `get` returns. Rejects when the projection stops, with the cause if the projection has failed. */
    caughtUp (cursor?: Cursor): Promise<void>
    stats (): ProjectionStats & { error?: Error }
    /** Apply no more events, and store the changed states. */
    stop (): Promise<void>
    [Symbol.asyncDispose] (): Promise<void>
  }

  /** The state of a projection. */
  interface ProjectionStats {
    name: string
    /** The version that is derived; null if it cannot be read. */
    version: number | null
    /** The version whose states answer; null if there is none yet. */
    answers: number | null
    state: 'building' | 'live' | 'failed' | 'stopped'
    /** The change up to which all events are in the states of `version`. */
    change: number
    /** How many changes are stored after that, including those that its query does not match. */
    behind: number
    /** How many keys have a state. */
    keys: number
    /** In `stats()` of the emitter: why it has failed, or cannot be read. */
    fault?: string
  }

  /** The stored part of a projection that is not running in this emitter. */
  interface StoredProjection {
    readonly name: string
    /** Delete its stored states: it is derived from the beginning at its next start. Rejects if the store does not know the name. */
    remove (): Promise<void>
  }

  interface StreamOptions {
    /** `'beginning'`, or a change or the cursor of an event after which to start. Default: start now. */
    from?: 'beginning' | number | Cursor
  }

  /** An event as it is read from a stream. `payload` is decoded; it is the bytes if no codec knows the event. */
  type StreamEvent<E extends EventMap<E> = AnyEvents, K = Name<E>> = K extends Name<E> ? { name: K, payload: Output<E, K>, tags?: string[] } : never
  /** An event as it is written to a stream. */
  type StreamInput<E extends EventMap<E> = AnyEvents, K = Name<E>> = K extends Name<E> ? { name: K, payload: Input<E, K>, tags?: Iterable<string> } : never

  /** The iterator of a Duplex, with items of type `T`. It differs between versions of the types of Node.js. */
  type StreamIterator<T> = Omit<ReturnType<Duplex[typeof Symbol.asyncIterator]>, 'next' | 'return' | 'throw'> & {
    next (): Promise<IteratorResult<T, undefined>>
    return (value?: any): Promise<IteratorResult<T, undefined>>
    throw (error?: any): Promise<IteratorResult<T, undefined>>
  }

  /** What `stream` returns. */
  interface EventStream<E extends EventMap<E> = AnyEvents> extends Duplex {
    read (size?: number): StreamEvent<E> | null
    write (event: StreamInput<E>, callback?: (error: Error | null | undefined) => void): boolean
    write (event: StreamInput<E>, encoding: BufferEncoding, callback?: (error: Error | null | undefined) => void): boolean
    end (callback?: () => void): this
    end (event: StreamInput<E>, callback?: () => void): this
    end (event: StreamInput<E>, encoding: BufferEncoding, callback?: () => void): this
    on (event: 'data', listener: (event: StreamEvent<E>) => void): this
    on (event: string | symbol, listener: (...args: any[]) => void): this
    once (event: 'data', listener: (event: StreamEvent<E>) => void): this
    once (event: string | symbol, listener: (...args: any[]) => void): this
    [Symbol.asyncIterator] (): StreamIterator<StreamEvent<E>>
  }

  interface ProgressOptions {
    onProgress?: (progress: { done: number, total: number }) => void
  }

  interface ImportOptions extends ProgressOptions {
    /**
     * Also copy the other emitter's id, the peers that it dials and the address that it announced, unless this store already has its own.
     * Use this to move a store: two emitters must not use the same id.
     */
    identity?: boolean
  }

  /** A field that a schema cannot read as it was written. */
  interface SchemaDifference {
    /** The names from the event to the field, with dots in between. */
    path: string
    /** The field as it was written, such as `uint32 = 3`. */
    was: string
    /** The field in the schema that reads it. */
    is: string
  }

  /** A message that events of one name were encoded with. */
  interface StoredSchema {
    /** The name of the events. */
    name: string
    /** The encoding. */
    protobuf: '1.x' | 'standard'
    /** The message with its types, as text of a schema. */
    proto: string
    /** The fields that the emitter's own schema cannot read; empty without a schema. */
    differences: SchemaDifference[]
  }

  interface BackupOptions extends ProgressOptions {
    /** Copy files that could be linked, for a backup whose bytes are its own. Default `false`. */
    copy?: boolean
  }

  interface BackedUp {
    /** The last change in the backup. */
    change: number
    /** The digest there. */
    digest: string
    /** Bytes of the backup. */
    bytes: number
    /** Bytes of the files that were linked or copied this time. */
    added: number
  }

  interface Restored {
    /** The last change of the store. */
    change: number
    /** Its digest. */
    digest: string
    /** The log in which it goes on. */
    log: string
  }

  interface Verified {
    /** Nodes, all different. */
    nodes: number
    /** Additional log entries for nodes that reached the store under several logs. */
    duplicates: number
    logs: number
    /** Seals of sealed logs, each verified. */
    seals: number
  }

  interface Stats {
    /** The last change. It is also the number of stored nodes. */
    change: number
    /** The local log. */
    log: string
    logs: Array<{ log: string, seq: number, digest: string }>
    /** The number of nodes that no other node links to. */
    heads: number
    /** Bytes on the medium: of the log, and of its index. Of a store in memory: of the events, and of what their rows take besides. */
    sizes: { data: number, index: number }
    /** Commits since the store was opened: of emits, peers' events, and values such as positions. On an embedded store, each commit is flushed once. */
    commits: number
    /** Bytes of emits that wait for the store. */
    pending: number
    /** Logs of which peers hold another version. The version of 2.x peers arrives here as a branch, a separate log. See `adopt`. */
    stuck: StuckLog[]
    /** Logs that were stuck in an earlier run, unless a peer has said anything about them since. */
    stuckBefore: StuckLogBefore[]
    peers: Peer[]
    /** The name of the network, if it has one. */
    network: string | null
    /** Links refused since the store was opened: without the required encryption, without a right, or of another network. */
    refusals: { insecure: number, rights: number, network: number }
    /** The subscriptions that the store knows. */
    consumers: ConsumerStats[]
    /** The projections that are running or that the store knows. */
    projections: ProjectionStats[]
    /** Peers that the store remembers: `connect` reached them, and they are dialled again at the next start. */
    known: Array<{ host: string, port: number }>
  }

  interface StuckLog {
    log: string
    /** Since when it is stuck, as far as this emitter knows, in milliseconds since 1970. */
    since: number
    /** The first entry that differs. */
    seq: number
    /** The key of that entry, here and at the peers. */
    ours: string
    theirs: string
    /** Whether the peers' node was received; otherwise a peer only claims it. */
    proven: boolean
    /** How many entries of the peers' version are not here under this id, as far as the peers say. */
    behind: number
  }

  interface StuckLogBefore extends StuckLog {
    /** When the store last noted this, in milliseconds since 1970. */
    seen: number
  }

  interface Peer {
    /** As in `_peers`. */
    key: string
    direction: 'in' | 'out'
    /** Which protocol it speaks, once known. */
    protocol: '1.x' | '2.x' | null
    /** The peer's public key, once it has proved it. */
    publicKey: string | null
    /** How the link is secured, once known. `stream`: only by the stream that `handle` was given. */
    security: Security | null
    /** What the peer may do here, once that is decided. */
    right: Right | null
    /**
     * `live`: neither side lacks what the other has announced. `stuck`: the same, except for logs of which the two hold different versions.
     * `standby`: another link to the same emitter carries all traffic; this one takes over when that one ends.
     */
    state: 'connecting' | 'waiting' | 'handshake' | 'standby' | 'sync' | 'live' | 'stuck'
    /** Logs of which this peer holds another version, as far as this connection has found (at most 16). */
    stuck: string[]
    /** When the peer last sent something new or took something it lacked, in milliseconds since 1970. */
    usefulAt: number | null
    /** Since when it is in this state, in milliseconds since 1970. */
    since: number
    /** The address of the connection, or of the last one. */
    address: string | null
    port: number | null
    /** How the last connection, or the last attempt to connect, ended. */
    lastEnd: LinkEnd | null
    /** The number of stored changes that the peer is not known to have. A 2.x peer confirms what it has stored; a 1.x peer confirms nothing, so everything that was sent counts. */
    behind: number
    bytesIn: number
    bytesOut: number
    framesIn: number
    writes: number
    nodesIn: number
    nodesOut: number
    /** What became of received nodes: new here, known already, or waiting for others. */
    added: number
    known: number
    parked: number
  }

  /** The log with the names of the hyperlog module. */
  interface Hyperlog {
    /** The id of the local log; null until the store is open. */
    readonly id: string | null
    /** The last change. */
    readonly changes: number
    ready (callback: (error?: HyperError | null) => void): void
    ready (): Promise<void>
    heads (callback: (error: HyperError | null, heads: Node[]) => void): void
    heads (): Promise<Node[]>
    get (key: string, callback: (error: HyperError | null, node: Node) => void): void
    get (key: string): Promise<Node>
    createReadStream (options?: { since?: number, until?: number, live?: boolean, reverse?: boolean, limit?: number }): Readable
  }

  /** The peer at the other end of a link that is or was established. */
  interface LinkedPeer {
    /** The link, as in `_peers`. */
    link: string
    direction: 'in' | 'out'
    address: string
    port: number
    protocol: '1.x' | '2.x'
    publicKey: string | null
    security: Security
    right: Right
  }

  type Security = 'plain' | 'noise' | 'tls' | 'stream'

  /**
   * `closing`: one of the two emitters closes; `refused`: a limit, a right, a schema; `damaged`: a store has failed; `silent`:
   * no sign of life; `protocol`: a peer broke the protocol; `lost`: the connection was cut or could not be made; `ended`: the other
   * side closed in an orderly way without giving a reason, as 1.x does; `renewed`: replaced by a new link; `dropped`: by
   * `destroy()`; `self`: the peer is this emitter; `internal`: a bug.
   */
  type EndReason = 'closing' | 'refused' | 'damaged' | 'silent' | 'protocol' | 'lost' | 'ended' | 'renewed' | 'dropped' | 'self' | 'internal'

  interface LinkEnd {
    reason: EndReason
    /** Whether the other side gave the reason; otherwise this side found out or decided. */
    told: boolean
    code: string
    message: string
    /** When, in milliseconds since 1970. */
    at: number
  }

  interface StatusEvents {
    /** The store is open. */
    ready: []
    /**
     * Work takes a while. `'opening'`: bytes of the log that were read so far, and in total. `'index'`: events of a Level database
     * that were added to its index, because a search needs it.
     */
    progress: [progress: { task: 'opening' | 'index', done: number, total: number }]
    /** Somebody connected here. */
    peerConnected: []
    /** A link is established: the peer has introduced itself. */
    connected: [peer: LinkedPeer]
    /** Each side of a link has everything that the other had when the link was established. */
    synced: [peer: LinkedPeer]
    /** An established link has ended. */
    disconnected: [peer: LinkedPeer & Omit<LinkEnd, 'at'>]
    /** A link that somebody else dialled ended with an error. */
    peerError: [error: HyperError | NodeJS.ErrnoException]
    /** A link dialled from here failed or ended. */
    connectionError: [error: HyperError | NodeJS.ErrnoException, link: unknown]
    /** Another emitter's event contradicts a recent conditional append of this emitter: it matches the condition, and its emitter did not know of the append. */
    conflict: [conflict: { ours: Entry, theirs: Entry }]
    /** The emitter is closed: nothing follows. */
    closed: []
    /** The store cannot be opened, or the schema's stream cannot be read. Throws if nobody listens, like any `error`. */
    error: [error: Error]
    /** Something that no call of yours caused: a payload that does not decode, a forked log, a peer that broke the protocol, a schema that cannot read what is stored. */
    warning: [error: Error & { code?: string }]
  }

  type Status = EventEmitter<StatusEvents>

  /** Codes are stable within a major version; messages are not. */
  type ErrorCode =
    | 'ERR_HYPER_AUTHOR'
    | 'ERR_HYPER_BACKLOG'
    | 'ERR_HYPER_CHECKSUM_MISMATCH'
    | 'ERR_HYPER_CLOSED'
    | 'ERR_HYPER_CONDITION'
    | 'ERR_HYPER_CONFLICT'
    | 'ERR_HYPER_CONNECT'
    | 'ERR_HYPER_DAMAGED'
    | 'ERR_HYPER_DECODE'
    | 'ERR_HYPER_ENDED'
    | 'ERR_HYPER_FORGED'
    | 'ERR_HYPER_FORK'
    | 'ERR_HYPER_HARMFUL'
    | 'ERR_HYPER_IDENTITY'
    | 'ERR_HYPER_ID_REUSED'
    | 'ERR_HYPER_INCOMPATIBLE'
    | 'ERR_HYPER_INSECURE'
    | 'ERR_HYPER_INTERNAL'
    | 'ERR_HYPER_INVALID_ARG'
    | 'ERR_HYPER_LIMIT'
    | 'ERR_HYPER_LISTEN'
    | 'ERR_HYPER_LOCKED'
    | 'ERR_HYPER_REPAIRED'
    | 'ERR_HYPER_NETWORK'
    | 'ERR_HYPER_NOT_A_STORE'
    | 'ERR_HYPER_NOT_FOUND'
    | 'ERR_HYPER_NO_BINARY'
    | 'ERR_HYPER_NO_DESCRIPTORS'
    | 'ERR_HYPER_NO_MEMORY'
    | 'ERR_HYPER_NO_SPACE'
    | 'ERR_HYPER_PARKED'
    | 'ERR_HYPER_PEERS'
    | 'ERR_HYPER_PROJECTION'
    | 'ERR_HYPER_PROTOCOL'
    | 'ERR_HYPER_READ_ONLY'
    | 'ERR_HYPER_REFUSED'
    | 'ERR_HYPER_RESERVED_NAME'
    | 'ERR_HYPER_RIGHTS'
    | 'ERR_HYPER_SCHEMA'
    | 'ERR_HYPER_SCHEMA_DRIFT'
    | 'ERR_HYPER_SEAL'
    | 'ERR_HYPER_SELF'
    | 'ERR_HYPER_SILENT'
    | 'ERR_HYPER_STORAGE'
    | 'ERR_HYPER_STORE'
    | 'ERR_HYPER_TIMEOUT'
    | 'ERR_HYPER_TOO_LARGE'
    | 'ERR_HYPER_VALUE'

  /** Every error with a code of this module. Errors about wrong arguments are also a TypeError or RangeError. */
  interface HyperError extends Error {
    code: ErrorCode
    /** The operating system's name for a failure, such as `ENOSPC`. */
    system?: string
    /** The operating system's number for it, negative as in Node.js. Not on Windows. */
    errno?: number
    /** The file or folder that the error is about. */
    path?: string
    /** The log that the error is about, and the entry of that log. */
    log?: string
    seq?: number
    /** The change of the stored event that the error is about. */
    change?: number
    /** The event whose payload was refused, or at which a projection has stopped; `cursor` names the latter. */
    event?: string
    cursor?: string
    /** The path of the field that was refused, as in `lines[3].price`. */
    field?: string
    /** The address that was dialled or should be bound, `host:port`. */
    address?: string
    /** The peer that a warning is about: its `key` in `stats().peers`. */
    peer?: string
    /** The first 16 fields in which a stored schema and the emitter's own differ (`ERR_HYPER_SCHEMA_DRIFT`). */
    differences?: SchemaDifference[]
  }
}

export = HyperEmitter
