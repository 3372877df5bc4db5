/// <reference types="node" />

import { KeyObject } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { AddressInfo } from 'node:net'
import { Duplex, Readable, Writable } from 'node:stream'
import { ConnectionOptions, PeerCertificate, TlsOptions } from 'node:tls'

/** A persistent, replicated EventEmitter. `E` maps event names to payload types; without it every name and payload is accepted. */
interface HyperEmitter<E extends HyperEmitter.EventMap<E> = HyperEmitter.AnyEvents> {
  /** Codecs by event name: the schema's messages, what `registerCodec` added, `Event` and `EventPeer`. */
  readonly messages: HyperEmitter.Messages<E>
  /**
   * The same object as `messages`.
   * @deprecated 1.x's other name: use `messages`
   */
  readonly codecs: HyperEmitter.Messages<E>
  /** Tells about the store and the peers. */
  readonly status: HyperEmitter.Status
  /** This emitter's id, once `getId` or `listen` has read or made it. Not the id of its log. */
  readonly id?: string
  /**
   * From `ready` on: what brings events to listeners; destroying it ends that for good. The same object as `changeStream`.
   * @deprecated kept for code written for 1.x: `read` reads the log, `pause` and `close` stop delivery
   */
  changes?: Writable
  /**
   * From `ready` on: the same object as `changes`.
   * @deprecated 1.x's other name for `changes`
   */
  changeStream?: Writable
  /**
   * Links by `host:port` (outbound) or counter (inbound). `destroy` simulates a failure: an outbound link is dialled again.
   * @deprecated kept for code written for 1.x: `stats().peers` and `status` tell about links
   */
  readonly _peers: { readonly [key: string]: { destroy (): void } }
  /**
   * Read access to the log in the terms of the hyperlog module.
   * @deprecated kept for code written for 1.x: use `read`, `get`, `heads` and `stats`
   */
  readonly _hyperlog: HyperEmitter.Hyperlog

  /**
   * Never called like this: with it an emitter is an EventEmitter to `once` and `on` of node:events, whose `emit` gives a boolean.
   * @internal
   */
  emit (name: never): never
  /**
   * Append an event. The callback runs once the event is durable, before any listener hears it, in the order of the calls.
   * A payload that cannot be encoded throws at once.
   */
  emit<K extends HyperEmitter.Name<E>> (name: K, payload: HyperEmitter.Input<E, K>, callback?: HyperEmitter.NodeCallback): this
  /** `emit` as a promise of the stored node. A payload that cannot be encoded rejects. */
  append<K extends HyperEmitter.Name<E>> (name: K, payload: HyperEmitter.Input<E, K>): Promise<HyperEmitter.Node>

  /**
   * Hear events appended after `ready`, here or by a peer. A listener with two or more parameters answers through `done`;
   * until it has, no further events are delivered to anyone.
   */
  on<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** The same as `on`. */
  addListener<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** `on`, before the listeners that are there. */
  prependListener<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** Hear one event, then be removed. */
  once<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** `once`, before the listeners that are there. */
  prependOnceListener<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** Remove one registration of `listener`; one that is not registered changes nothing. */
  removeListener<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** The same as `removeListener`. */
  off<K extends HyperEmitter.Name<E>> (name: K, listener: HyperEmitter.Listener<E, K>): this
  /** Remove all listeners, of one name or of all. */
  removeAllListeners (name?: HyperEmitter.Name<E>): this
  /** How many listeners `name` has, or how often `listener` is among them. */
  listenerCount<K extends HyperEmitter.Name<E>> (name: K, listener?: HyperEmitter.Listener<E, K>): number
  /** The listeners of `name`. */
  listeners<K extends HyperEmitter.Name<E>> (name: K): Array<HyperEmitter.Listener<E, K>>
  /** As `listeners`, with a wrapper in place of each one added by `once`: it removes and calls the listener, which it has as `listener`. */
  rawListeners<K extends HyperEmitter.Name<E>> (name: K): Array<HyperEmitter.Listener<E, K>>
  /** Names that have listeners. */
  eventNames (): Array<HyperEmitter.Name<E>>
  /**
   * As Node's, without its effect: there is no warning about many listeners.
   * @deprecated has no effect
   */
  setMaxListeners (count: number): this
  getMaxListeners (): number
  /** Stop delivering to listeners after the current event; called by a listener while it hears one, to that listener alone. Nothing is lost. */
  pause (): this
  /** Go on delivering, also to listeners that have paused alone. */
  resume (): this
  /** Whether `pause` is in force, for all or for a listener. */
  isPaused (): boolean

  /** Encode and decode the events called `name` with `codec`. */
  registerCodec<K extends HyperEmitter.Name<E>> (name: K, codec: HyperEmitter.Codec<HyperEmitter.Input<E, K>, HyperEmitter.Output<E, K>>): this
  registerCodec (codecs: Array<{ name: string, codec: HyperEmitter.Codec }> | { readonly [name: string]: HyperEmitter.Codec }): this

  /** This emitter's id, made when first asked for and kept in the store. */
  getId (callback: (error: HyperEmitter.HyperError | null, id: string) => void): void
  getId (): Promise<string>

  /**
   * Replicate with the emitter that listens there, now and again after every failure until `close`.
   * Fails after ten attempts in a row if none ever succeeded.
   */
  connect (port: number | string, callback: HyperEmitter.ConnectCallback): void
  connect (port: number | string, host: string | null | undefined, callback: HyperEmitter.ConnectCallback): void
  connect (port: number | string, host: string | null | undefined, how: HyperEmitter.DialOptions, callback: HyperEmitter.ConnectCallback): void
  connect (port: number | string, how: HyperEmitter.DialOptions, callback: HyperEmitter.ConnectCallback): void
  connect (port: number | string, host?: string | null, how?: HyperEmitter.DialOptions): Promise<void>
  connect (port: number | string, how: HyperEmitter.DialOptions): Promise<void>

  /** Accept peers. Port 0 takes a free port; without a host, all interfaces. Emits an `EventPeer` when the address is new. */
  listen (port: number | string, callback: HyperEmitter.ListenCallback): void
  listen (port: number | string, host: string | null | undefined, callback: HyperEmitter.ListenCallback): void
  listen (port: number | string, host: string | null | undefined, how: HyperEmitter.ListenOptions, callback: HyperEmitter.ListenCallback): void
  listen (port: number | string, how: HyperEmitter.ListenOptions, callback: HyperEmitter.ListenCallback): void
  listen (port: number | string, host?: string | null, how?: HyperEmitter.ListenOptions): Promise<AddressInfo>
  listen (port: number | string, how: HyperEmitter.ListenOptions): Promise<AddressInfo>

  /**
   * Replicates over a stream that you bring: a TLSSocket, a stream of a WebSocket, an SSH channel. Resolves to the peer once the link
   * stands. Exactly one side says `dialled: true`. The stream is ended with the link, and is not made anew.
   */
  handle (duplex: Duplex, how?: HyperEmitter.HandleOptions): Promise<HyperEmitter.LinkedPeer>
  handle (duplex: Duplex, how: HyperEmitter.HandleOptions | undefined, callback: HyperEmitter.HandleCallback): void
  handle (duplex: Duplex, callback: HyperEmitter.HandleCallback): void

  /** The text of this emitter's public key; null without `identity`. Peers list it under `peers`, and give it to `connect`. */
  readonly publicKey: string | null

  /** Sets who may connect, as the option `peers` does. Links that have lost their right end at once. */
  setPeers (peers?: HyperEmitter.PeersOption): this

  /** Sets whose links without encryption are accepted, as the option `plain` does. */
  setPlain (plain?: HyperEmitter.PlainOption): this

  /** A duplex of `{ name, payload }`: what is written is emitted, what is stored is read. It stays live until destroyed. */
  stream (options?: HyperEmitter.StreamOptions): HyperEmitter.EventStream<E>

  /** Stored events as an async iterable, each with its place in the log. */
  read<K extends HyperEmitter.Name<E> = HyperEmitter.Name<E>> (options?: HyperEmitter.ReadOptions<K>): AsyncIterableIterator<HyperEmitter.Entry<E, K>>
  /** The node with this key, or undefined. */
  get (key: string): Promise<HyperEmitter.Node | undefined>
  /** Which nodes nothing links to yet. */
  heads (): Promise<HyperEmitter.Head[]>
  /** The change stored under `name` by the other form, or undefined. */
  position (name: string): Promise<number | undefined>
  /** Store a change under `name`, durably: how far a reader has come. One behind the end of the log is refused. */
  position (name: string, change: number): Promise<void>
  /** Equal on two emitters exactly when they hold the same logs. Lowercase hexadecimal. */
  digest (): Promise<string>
  /** Recompute every key, link and digest. Rejects with the place of the first damage. */
  verify (options?: HyperEmitter.ProgressOptions): Promise<HyperEmitter.Verified>
  /** Copy what another store holds: a levelup or abstract-level object, or the path of an embedded store. Resolves to the number of new rows. */
  importFrom (source: HyperEmitter.LevelStore | string, options?: HyperEmitter.ImportOptions): Promise<number>
  /**
   * Let the version of a forked log that peers hold take the place of this emitter's. What it held from the fork on moves to a new log, to whose
   * id this resolves, and the peers' version comes from them. `key` says which one if there are several (`theirs` in `stats().stuck`).
   */
  adopt (log: string, options?: { key?: string }): Promise<string>
  /** Numbers about the store and the peers. */
  stats (): Promise<HyperEmitter.Stats>

  /** Resolves when the store is open; rejects when it cannot be opened. */
  ready (): Promise<void>
  /**
   * Stop accepting peers, answer pending emits, release the store. May be called twice. Other calls then fail with `ERR_HYPER_CLOSED`.
   * A store that fails to close rejects the promise; the callback leaves it to `warning` on `status`.
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

  /** What `messages` of an emitter with this schema would be. */
  compile<E extends HyperEmitter.EventMap<E> = HyperEmitter.AnyEvents> (schema: string | Uint8Array, options?: HyperEmitter.CompileOptions): HyperEmitter.Messages<E>
  /** The class of everything with a code of this module: `if (error instanceof HyperError)` narrows to its `code`. */
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
  /** Every name, every payload: as 1.x. */
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
    /** Where imports are looked up: folders, or texts by import path. */
    include?: string | string[] | { readonly [path: string]: string }
    /** Name of the schema in error messages. */
    file?: string
    /** `'standard'`: bytes as other protobuf programs write them, instead of those of 1.x. 1.x peers are then refused. */
    protobuf?: '1.x' | 'standard'
  }

  interface Options extends CompileOptions {
    /** Milliseconds before a failed link is dialled again; grows with each failure. Default 1000. */
    reconnectTimeout?: number
    /** `false`: the peers that the store remembers from a previous run are not dialled. */
    dial?: boolean
    /** Largest event accepted by `emit`, in bytes, name and framing included. Default 8 MiB. */
    maxEventSize?: number
    /** Bytes of emits that may wait for the store. Default 256 MiB. */
    maxPending?: number
    /** Rejections of listeners go to the method `Symbol.for('nodejs.rejection')`, else to `error` on `status`. Default: `EventEmitter.captureRejections`. */
    captureRejections?: boolean
    /**
     * This emitter's Ed25519 private key: the path of a PEM file (PKCS#8; `hypem keygen FILE` makes one), its text, or a KeyObject. Links
     * are then encrypted, both ends prove who they are, and what this emitter writes is sealed with it.
     */
    identity?: string | Buffer | KeyObject
    /** A secret of a whole group, 32 bytes or 64 hexadecimal digits: who does not know it gets no byte back. */
    secret?: Uint8Array | string
    /** The name of the network. Emitters of another one are refused. Once given, the store keeps it. */
    network?: string
    /** Who may connect, and with which right; nobody else may. Default: the keys that `connect` is given, and whoever knows `secret`. */
    peers?: PeersOption
    /** Whose links without encryption are accepted (those of 1.x, and of 2.x without `identity`). Default: everybody's without `identity`, nobody's with one. */
    plain?: PlainOption
    /** Options of node:tls for links that say `tls: true`. */
    tls?: TlsOptions & ConnectionOptions
  }

  /** What a peer may do here. `write` includes reading. */
  type Right = 'read' | 'write'

  /** A peer that wants to connect, for the function `peers`. */
  interface Candidate {
    direction: 'in' | 'out'
    address: string
    port: number
    /** Its public key; undefined without encryption, or over TLS. */
    key?: string
    /** Its certificate, over TLS. */
    certificate?: PeerCertificate
  }

  /**
   * Public keys (`ed25519-…`) and rights. Over TLS also certificates, as `sha256:` and the fingerprint in hexadecimal digits, or `dns:` and a
   * name that the certificate is for. Or a function that answers with a right, or with nothing to refuse.
   */
  type PeersOption =
    | { readonly [key: string]: Right }
    | ReadonlyMap<string, Right>
    | ((peer: Candidate) => Right | null | undefined | false | Promise<Right | null | undefined | false>)

  /** `from`: addresses and networks in CIDR form, default all; `can`: their right, default `write`. */
  type PlainOption = boolean | Right | { from?: string[], can?: Right }

  interface DialOptions {
    /** The public key of the peer: nobody else will do, now and at each later dial, also after a restart. */
    key?: string
    /** Dials without encryption although this emitter has an identity; the right that the peer gets. `true` is `'write'`. */
    plain?: boolean | Right
    /** Dials with TLS; `true`: with the options `tls` of the constructor. */
    tls?: true | ConnectionOptions
  }

  interface ListenOptions {
    /** Accepts TLS connections, and no others; `true`: with the options `tls` of the constructor. */
    tls?: true | TlsOptions
  }

  interface HandleOptions {
    /** Whether this side counts as the one that dialled: exactly one of the two must. Default false. */
    dialled?: boolean
    /** The public key that the peer must prove to have. */
    key?: string
    /** The right of a peer that you vouch for: then the stream is taken as it is, without encryption inside. */
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
    /** Length in bytes of what `encode` would write. */
    encodingLength (payload: In): number
    /** The protobuf JSON form, without fields that hold their default and have no presence. */
    toJSON (payload: Out): any
    /** The payload from its protobuf JSON form. Throws `ERR_HYPER_VALUE` with the path of what does not fit. */
    fromJSON (json: any): Out
  }

  type Messages<E> =
    { readonly [K in Name<E>]: Message<Input<E, K>, Output<E, K>> } &
    { readonly [name: string]: any }

  /** A stored event with its place in the DAG. */
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

  /** A node that nothing links to: its change, its key, its log and its number there. */
  interface Head {
    change: number
    key: string
    log: string
    seq: number
  }

  /** An event as `read` gives it. */
  type Entry<E extends EventMap<E> = AnyEvents, K = Name<E>> = K extends Name<E> ? EntryPlace & {
    name: K
    /** Decoded; absent where no codec knows the event, or its bytes do not decode, or `raw` was asked for. */
    payload?: Output<E, K>
    /** The payload's bytes where there is no `payload`. */
    raw?: Buffer
    /** Why the bytes do not decode: `ERR_HYPER_DECODE`, with what the codec threw as `cause`. */
    error?: HyperError
  } : never

  interface EntryPlace {
    change: number
    key: string
    log: string
    seq: number
    links: string[]
    /** When it was emitted, in milliseconds since 1970 by the emitter's clock: any number, also one that no Date can hold. Absent in events of 1.x. */
    time?: number
  }

  interface ReadOptions<K = string> {
    /** Start after this change; the log must reach that far, or `live` wait for it. Default 0: the beginning. */
    since?: number
    /** End with this change. */
    until?: number
    /** Go on with what is stored later, until the loop is left or the emitter closes. */
    live?: boolean
    /** Only events with this name, or these. */
    names?: K | Iterable<K>
    /** Newest first. */
    reverse?: boolean
    /** At most so many events. */
    limit?: number
    /** Do not decode: every event comes with `raw`. */
    raw?: boolean
    /** Ends the reading with its reason. */
    signal?: AbortSignal
  }

  interface StreamOptions {
    /** `'beginning'`, or a change after which to start. Default: now. */
    from?: 'beginning' | number
  }

  /** An event as a stream brings it. Decoded; the payload's bytes where no codec knows the event. */
  type StreamEvent<E extends EventMap<E> = AnyEvents, K = Name<E>> = K extends Name<E> ? { name: K, payload: Output<E, K> } : never
  /** An event as a stream takes it. */
  type StreamInput<E extends EventMap<E> = AnyEvents, K = Name<E>> = K extends Name<E> ? { name: K, payload: Input<E, K> } : never

  /** What iterating over a Duplex gives, which differs between versions of the types of Node.js, with items of a type. */
  type StreamIterator<T> = Omit<ReturnType<Duplex[typeof Symbol.asyncIterator]>, 'next' | 'return' | 'throw'> & {
    next (): Promise<IteratorResult<T, undefined>>
    return (value?: any): Promise<IteratorResult<T, undefined>>
    throw (error?: any): Promise<IteratorResult<T, undefined>>
  }

  /** What `stream` gives. */
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
     * Take over the other emitter's id, the peers that it knows and the address that it announced as well, where there are none
     * yet. Two emitters must not use the same.
     */
    identity?: boolean
  }

  interface Verified {
    /** Nodes, all different. */
    nodes: number
    /** Further log entries for nodes that reached the store under several logs. */
    duplicates: number
    logs: number
  }

  interface Stats {
    /** The last change: how many nodes are stored. */
    change: number
    /** The local log. */
    log: string
    logs: Array<{ log: string, seq: number, digest: string }>
    /** How many nodes nothing links to. */
    heads: number
    /** Bytes on the medium: of the log, and of what makes it searchable. */
    sizes: { data: number, index: number }
    /** Commits since the store was opened: of emits, peers' events and facts. On an embedded store each is one flush for all that is in it. */
    commits: number
    /** Bytes of emits that wait for the store. */
    pending: number
    /** Logs of which peers hold another version: what they add to them does not get here. See `adopt`. */
    stuck: StuckLog[]
    peers: Peer[]
    /** The name of the network, if it has one. */
    network: string | null
    /** Links refused since the store was opened: not encrypted as they should be, without a right, of another network. */
    refusals: { insecure: number, rights: number, network: number }
    /** Peers that the store remembers: those that were connected to, which are dialled again at the next start. */
    known: Array<{ host: string, port: number }>
  }

  interface StuckLog {
    log: string
    /** Since when, as far as this emitter knows, in milliseconds since 1970. */
    since: number
    /** The first entry that differs. */
    seq: number
    /** The node's key there, here and at the peers. */
    ours: string
    theirs: string
    /** Whether the peers' node was received; otherwise a peer says so. */
    proven: boolean
    /** How many entries of the peers' version are missing here, as far as they tell. */
    behind: number
  }

  interface Peer {
    /** As in `_peers`. */
    key: string
    direction: 'in' | 'out'
    /** What it speaks, once known. */
    protocol: '1.x' | '2.x' | null
    /** The peer's public key, once it has proved it. */
    publicKey: string | null
    /** How the link is secured, once known: `stream`: as well as the stream that `handle` was given. */
    security: Security | null
    /** What the peer may do here, once that is decided. */
    right: Right | null
    /**
     * `live`: neither side lacks what the other has announced. `stuck`: the same but for logs of which the two hold different versions.
     * `standby`: another link to the same emitter carries everything; this one takes over when that ends.
     */
    state: 'connecting' | 'waiting' | 'handshake' | 'standby' | 'sync' | 'live' | 'stuck'
    /** Logs of which this peer holds another version, as far as this connection has found (16 at the most). */
    stuck: string[]
    /** When the peer last brought something new or took what it lacked, in milliseconds since 1970. */
    usefulAt: number | null
    /** Since when, in milliseconds since 1970. */
    since: number
    /** Where the connection leads, or the last one did. */
    address: string | null
    port: number | null
    /** How the last connection, or the last attempt to get one, ended. */
    lastEnd: LinkEnd | null
    /** Stored changes it is not known to have: to have stored, or, as 1.x acknowledges nothing, to have been sent. */
    behind: number
    bytesIn: number
    bytesOut: number
    framesIn: number
    writes: number
    nodesIn: number
    nodesOut: number
    /** What became of nodes that came in: new here, known already, or waiting for others. */
    added: number
    known: number
    parked: number
  }

  /** The log in the terms of the hyperlog module. */
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

  /** A peer at the other end of a link that stands, or stood. */
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
   * no sign of life; `protocol`: broken by a peer; `lost`: the connection was cut or could not be made; `ended`: in an
   * orderly way, without a word, as by 1.x; `renewed`: for a fresh link; `dropped`: by `destroy()`; `self`: the peer is this
   * emitter; `internal`: a defect.
   */
  type EndReason = 'closing' | 'refused' | 'damaged' | 'silent' | 'protocol' | 'lost' | 'ended' | 'renewed' | 'dropped' | 'self' | 'internal'

  interface LinkEnd {
    reason: EndReason
    /** Whether the other side said so; else this side found out or decided. */
    told: boolean
    code: string
    message: string
    /** When, in milliseconds since 1970. */
    at: number
  }

  interface StatusEvents {
    /** The store is open. */
    ready: []
    /** Opening the store takes a while: bytes of the log read. */
    progress: [progress: { done: number, total: number }]
    /** Somebody connected here. */
    peerConnected: []
    /** A link stands: the peer has introduced itself. */
    connected: [peer: LinkedPeer]
    /** Both sides of a link have what the other had when it came up. */
    synced: [peer: LinkedPeer]
    /** A link that stood is over. */
    disconnected: [peer: LinkedPeer & Omit<LinkEnd, 'at'>]
    /** A link that somebody else dialled ended with an error. */
    peerError: [error: HyperError | NodeJS.ErrnoException]
    /** A link dialled from here failed or ended. */
    connectionError: [error: HyperError | NodeJS.ErrnoException, link: unknown]
    /** The emitter is closed: nothing follows. */
    closed: []
    /** The store cannot be opened, or the schema's stream cannot be read. Throws when nobody listens, as any `error`. */
    error: [error: Error]
    /** Something that no call of yours caused: a payload that does not decode, a forked log, a peer that broke the protocol. */
    warning: [error: Error & { code?: string }]
  }

  type Status = EventEmitter<StatusEvents>

  /** Stable within a major version; messages are not. */
  type ErrorCode =
    | 'ERR_HYPER_AUTHOR'
    | 'ERR_HYPER_BACKLOG'
    | 'ERR_HYPER_CHECKSUM_MISMATCH'
    | 'ERR_HYPER_CLOSED'
    | 'ERR_HYPER_CONFLICT'
    | 'ERR_HYPER_CONNECT'
    | 'ERR_HYPER_DAMAGED'
    | 'ERR_HYPER_DECODE'
    | 'ERR_HYPER_ENDED'
    | 'ERR_HYPER_FORGED'
    | 'ERR_HYPER_FORK'
    | 'ERR_HYPER_HARMFUL'
    | 'ERR_HYPER_IDENTITY'
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
    | 'ERR_HYPER_PEERS'
    | 'ERR_HYPER_PROTOCOL'
    | 'ERR_HYPER_RESERVED_NAME'
    | 'ERR_HYPER_RIGHTS'
    | 'ERR_HYPER_SCHEMA'
    | 'ERR_HYPER_SEAL'
    | 'ERR_HYPER_SELF'
    | 'ERR_HYPER_SILENT'
    | 'ERR_HYPER_STORAGE'
    | 'ERR_HYPER_STORE'
    | 'ERR_HYPER_TOO_LARGE'
    | 'ERR_HYPER_VALUE'

  /** Everything with a code of this module. Those for wrong arguments are a TypeError or RangeError at the same time. */
  interface HyperError extends Error {
    code: ErrorCode
  }
}

export = HyperEmitter
