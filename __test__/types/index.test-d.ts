import { on, once } from 'node:events'
import { AddressInfo } from 'node:net'
import { Duplex } from 'node:stream'
import { expectAssignable, expectError, expectNotAssignable, expectType } from 'tsd'
import HyperEmitter = require('../..')

interface User { id: number, username: string }

/** As `hypem types` writes it. */
interface Events {
  userAdded: User
  userRemoved: { id: number }
  greeted: HyperEmitter.Payload<{ from?: string }, { from: string, message: string }>
}

const typed = new HyperEmitter<Events>('./db', 'message userAdded {}', { reconnectTimeout: 50 })
const any = HyperEmitter(undefined, null)

// Class and factory give the same; every kind of store and schema is taken.
expectType<HyperEmitter<Events>>(HyperEmitter<Events>(':memory:', Buffer.from('')))
expectType<HyperEmitter<HyperEmitter.AnyEvents>>(any)
new HyperEmitter({ get () {}, batch () {}, close () {} }, process.stdin)
new HyperEmitter(null, { note: { encode: (text: string) => text, decode: (bytes) => bytes.toString() } })
expectError(new HyperEmitter(7))
expectError(new HyperEmitter({}))
expectError(new HyperEmitter(':memory:', '', { reconnectTimeOut: 50 }))
expectError(new HyperEmitter(':memory:', '', { protobuf: 'proto3' }))
new HyperEmitter(':memory:', '', { protobuf: 'standard', strict: false })
expectError(new HyperEmitter(':memory:', '', { strict: 'yes' }))
class Users extends HyperEmitter<Events> { add (user: User) { return this.append('userAdded', user) } }
expectType<Promise<HyperEmitter.Node>>(new Users().add({ id: 1, username: 'a' }))

// emit and append know names and payloads.
expectType<HyperEmitter<Events>>(typed.emit('userAdded', { id: 1, username: 'a' }, (error, node) => {
  expectType<HyperEmitter.HyperError | null>(error)
  expectType<string>(node.key)
  expectType<Buffer>(node.value)
}))
typed.emit('userRemoved', { id: 1 }).emit('userRemoved', { id: 2 })
typed.emit('EventPeer', { id: 'x', addresses: [{ ip: '::1', port: 1 }] })
expectType<Promise<HyperEmitter.Node>>(typed.append('userRemoved', { id: 1 }))
expectError(typed.emit('userAdd', { id: 1 }))
expectError(typed.emit('userAdded', { id: 1 }))
expectError(typed.emit('userAdded', { id: '1', username: 'a' }))
expectError(typed.append('userRemoved', {}))
expectType<Promise<HyperEmitter.Node[]>>(typed.append([{ name: 'userRemoved', payload: { id: 1 }, tags: ['user:1'] }]))
expectError(typed.append([{ name: 'userRemoved', payload: {} }]))
typed.append('userRemoved', { id: 1 }, { tags: ['user:1'], id: 'request-1', failIf: { query: [{ names: 'userRemoved', tags: ['user:1'] }], after: 7 } })
expectError(typed.append('userRemoved', { id: 1 }, { failIf: { names: 'userRemovd' } }))
expectType<Promise<string>>(typed.decide({ names: ['userRemoved'], tags: 'user:1' }, async (events, { append, after }) => {
  expectType<'userRemoved'>(events[0]!.name)
  expectType<number | undefined>(events[0]!.payload?.id)
  expectType<number>(after)
  await append('userRemoved', { id: 1 }, { tags: ['user:1'] })
  return 'done'
}))
expectError(typed.decide({ names: 'userRemovd' }, () => {}))
typed.decide({ query: [{ names: 'userAdded', tags: ['user:1'] }, { names: ['userRemoved'] }] }, (events) => {
  for (const entry of events) {
    expectType<'userAdded' | 'userRemoved'>(entry.name)
    if (entry.name === 'userAdded') expectType<User | undefined>(entry.payload)
    else expectType<{ id: number } | undefined>(entry.payload)
  }
})
typed.append('userRemoved', { id: 1 }, { failIf: { after: 'log:1:00' } })
typed.append('userRemoved', { id: 1 }, { failIf: { names: 'userAdded', after: { log: 'log', seq: 1 } } })
expectError(typed.append('userRemoved', { id: 1 }, { failIf: { after: new Date() } }))
expectType<Promise<HyperEmitter.StoredSchema[]>>(typed.schemas())
expectType<number | undefined>(typed.read().after)
typed.status.on('conflict', ({ ours, theirs }) => { expectType<number>(ours.change + theirs.change) })
expectError(typed.append([{ name: 'userRemovd', payload: { id: 1 } }]))
expectError(typed.append('userRemovd', { id: 1 }))
expectError(typed.append('userRemovd', 'text'))
expectError(typed.emit('EventPeer', { id: 'x' }))
any.emit('anything', { at: 'all' }).emit('bytes', Buffer.alloc(1))

// A payload may be fuller when heard than when emitted.
typed.emit('greeted', {})
typed.on('greeted', ({ from, message }) => { expectType<string>(from); expectType<string>(message) })
expectError(typed.emit('greeted', { from: 1 }))

// Listeners.
expectType<HyperEmitter<Events>>(typed.on('userAdded', (user) => { expectType<User>(user) }))
typed.on('userAdded', function (user, done) { expectType<HyperEmitter<Events>>(this); done(); done(new Error(user.username)) })
typed.once('userRemoved', async ({ id }) => { expectType<number>(id) })
typed.on('EventPeer', (peer) => { expectType<Array<{ ip: string, port: number }>>(peer.addresses) })
any.on('whatever', (payload) => { expectType<any>(payload) })
expectError(typed.on('userGone', () => {}))
expectError(typed.on('userAdded', (user: { id: string }) => {}))
expectError(typed.on('userAdded'))
expectError(typed.off('userAdded', 'x'))
expectType<number>(typed.listenerCount('userAdded'))
expectType<Array<'userAdded' | 'userRemoved' | 'greeted' | 'EventPeer'>>(typed.eventNames())

// Messages and codecs.
expectType<string>(typed.messages.userAdded.decode(Buffer.alloc(0)).username)
expectType<Buffer>(typed.codecs.userAdded.encode({ id: 1, username: 'a' }))
expectType<number>(typed.messages.userAdded.encode.bytes)
expectError(typed.messages.userAdded.encode({ id: 1 }))
expectType<any>(typed.messages.SomeEnum)
typed.registerCodec('userRemoved', { encode: ({ id }) => String(id), decode: (bytes) => ({ id: Number(bytes) }) })
typed.registerCodec([{ name: 'other', codec: { encode: () => '', decode: () => 0 } }])
typed.registerCodec({ other: { encode: () => '', decode: () => 0 } })
expectError(typed.registerCodec('userRemoved', { encode: ({ id }) => id, decode: () => ({ id: 1 }) }))
expectError(typed.registerCodec('userRemoved', { encode: () => '', decode: () => 'no user' }))
expectError(typed.registerCodec('userRemoved', { encode: () => '' }))
expectType<User>(HyperEmitter.compile<Events>('').userAdded.fromJSON({}))

// Peers.
expectType<void>(typed.connect(1, 'localhost', (error) => { if (error) expectType<string | undefined>(error.code) }))
expectType<Promise<void>>(typed.connect('1', 'localhost'))
expectType<Promise<AddressInfo>>(typed.listen(0))
typed.listen(0, '127.0.0.1', (error, address) => { expectType<number>(address.port) })
typed.listen(0, (error) => { if (error) throw error })
expectError(typed.connect())
typed._peers['localhost:1'].destroy()

// Reading: names narrow payloads.
async function read () {
  for await (const entry of typed.read({ query: [{ names: 'userAdded' }, { names: ['greeted'], tags: 'x' }] })) {
    if (entry.name === 'userAdded') expectType<User | undefined>(entry.payload)
    else expectType<{ from: string, message: string } | undefined>(entry.payload)
  }
  for await (const entry of typed.read({ names: 'userAdded' })) expectType<User | undefined>(entry.payload)
  for await (const entry of typed.read({ query: [{ names: 'userAdded' }, { tags: 'x' }] })) {
    expectType<'userAdded' | 'userRemoved' | 'greeted' | 'EventPeer'>(entry.name)
  }
  for await (const entry of typed.read()) expectType<'userAdded' | 'userRemoved' | 'greeted' | 'EventPeer'>(entry.name)
  expectError(typed.read({ query: [{ names: 'userAdd' }] }))
  for await (const entry of typed.read({ since: 3, names: ['userAdded', 'userRemoved'], live: true })) {
    expectType<number>(entry.change)
    expectType<Buffer | undefined>(entry.raw)
    if (entry.name === 'userAdded') expectType<User | undefined>(entry.payload)
    else expectType<{ id: number } | undefined>(entry.payload)
  }
  expectType<number | undefined>(await typed.position('mailer'))
  await typed.position('mailer', 3)
  expectType<HyperEmitter.Node | undefined>(await typed.get('00'))
  const { sizes, peers } = await typed.stats()
  expectType<number>(sizes.data)
  if (peers[0]) expectType<'1.x' | '2.x' | null>(peers[0].protocol)
  await typed.importFrom('./other', { onProgress: ({ done, total }) => done / total })
  await using held = typed
  expectType<HyperEmitter<Events>>(held)
}
expectType<Promise<void>>(read())
expectError(typed.read({ names: ['userGone'] }))

const subscriptions = async () => {
  const subscription = typed.subscribe('mails', { names: ['userAdded', 'userRemoved'] }, async (entry, { attempt, signal, append }) => {
    expectType<number>(attempt)
    expectType<AbortSignal>(signal)
    if (entry.name === 'userAdded') expectType<User | undefined>(entry.payload)
    append('userRemoved', { id: 1 }, { tags: ['x'] })
    append([{ name: 'userRemoved', payload: { id: 2 } }])
    expectError(append('userGone', { id: 1 }))
  }, { key: (entry) => entry.payload?.id ?? 0, backoff: [1, 2], checkpoint: { every: 10 }, from: 'now', group: { member: 0, size: 2 } })
  expectType<HyperEmitter.Subscription<Events, 'userAdded' | 'userRemoved'>>(subscription)
  subscription.on('failed', (error, entry, { delay }) => { expectType<number>(delay); expectType<Error>(error); expectType<string>(entry.cursor) })
  const [parked] = await subscription.parked()
  if (parked) await subscription.retry(parked)
  await subscription.caughtUp('log:1:key')
  typed.subscribe('all', null, (entry) => { expectType<number>(entry.change) })
  typed.subscribe('one', { names: 'userAdded' }, (entry) => { expectType<'userAdded'>(entry.name) })
  typed.subscribe('items', { query: [{ names: 'userAdded', tags: 'x' }] }, (entry) => { expectType<'userAdded'>(entry.name) })
  expectError(typed.subscribe('wrong', { names: 'userGone' }, () => {}))
  for await (const { entry, ack, fail, append } of typed.subscribe('loop', { names: ['userAdded'] }, { raw: true })) {
    expectType<'userAdded'>(entry.name)
    append('userRemoved', { id: 1 })
    if (entry.error) fail(entry.error)
    else ack()
  }
  expectType<number>((await typed.stats()).consumers[0].behind)
  await typed.consumer('mails').reset('now')
  await using held = subscription
  expectType<typeof subscription>(held)
}
expectType<Promise<void>>(subscriptions())

const projections = async () => {
  const users = typed.project('users', {
    version: 2,
    init: () => ({ names: [] as string[], seen: 0 }),
    key: (entry) => entry.name === 'userRemoved' ? entry.payload?.id : [entry.log, entry.change],
    on: {
      userAdded (state, user, entry) {
        expectType<User>(user)
        expectType<'userAdded'>(entry.name)
        expectType<{ names: string[], seen: number }>(state)
        return { ...state, names: [...state.names, user.username] }
      },
      userRemoved: () => undefined
    },
    snapshot: { every: 100 }
  })
  expectType<HyperEmitter.Projection<{ names: string[], seen: number }>>(users)
  expectType<{ names: string[], seen: number } | undefined>(await users.get(7))
  for await (const [key, state] of users.entries()) {
    expectType<string>(key)
    expectType<number>(state.seen)
  }
  await users.caughtUp(await typed.append('userRemoved', { id: 1 }))
  users.on('error', (error) => { expectType<Error>(error) }).on('live', (version) => { expectType<number>(version) })
  expectType<'building' | 'live' | 'failed' | 'stopped'>(users.stats().state)
  expectType<number | null>((await typed.stats()).projections[0].version)
  await typed.projection('users').remove()
  const counts = typed.project('counts', { init: 0, on: { userAdded: (count) => count + 1 }, query: { tags: 'x' }, store: 'memory' })
  expectType<number | undefined>(await counts.get())
  expectError(typed.project('wrong', { init: 0, on: { userGone: (count: number) => count } }))
  expectError(typed.project('wrong', { init: 0, on: { userAdded: () => 'text' } }))
  expectError(typed.project<number>('wrong', { on: { userAdded: (count) => count } }))
  any.project('any', { init: 1, on: { whatever: (state, payload) => state + payload.num } })
  await using held = users
  expectType<typeof users>(held)
}
expectType<Promise<void>>(projections())

const cursors = async () => {
  for await (const entry of typed.read({ since: 'log:1:key' })) {
    expectType<string>(entry.cursor)
    expectType<number>(await typed.caughtUp(entry, { delivered: true, timeout: 100 }))
    typed.read({ since: entry })
    typed.stream({ from: { log: entry.log, seq: entry.seq } })
  }
  expectType<string>(HyperEmitter.cursorOf(await typed.append('userRemoved', { id: 1 })))
}
expectType<Promise<void>>(cursors())
expectError(typed.caughtUp(5))
expectError(HyperEmitter.cursorOf({ log: 'a', seq: 1 }))
expectError(typed.position('mailer', '3'))
const stream = typed.stream({ from: 'beginning' })
expectAssignable<Duplex>(stream)
expectType<boolean>(stream.write({ name: 'userRemoved', payload: { id: 1 } }))
expectError(stream.write({ name: 'userRemoved', payload: {} }))
expectError(stream.write({ name: 'userGone', payload: { id: 1 } }))
stream.on('data', (event) => { if (event.name === 'userAdded') expectType<User>(event.payload) }).on('close', () => {})
stream.pipe(process.stdout)
stream.end({ name: 'greeted', payload: {} }, () => {})
async function iterate () {
  for await (const event of stream) if (event.name === 'greeted') expectType<{ from: string, message: string }>(event.payload)
  for await (const { name, payload } of any.stream()) { expectType<string>(name); expectType<any>(payload) }
}
expectType<Promise<void>>(iterate())

// node:events takes an emitter.
expectType<Promise<any[]>>(once(typed, 'userAdded'))
on(typed, 'userAdded', { signal: new AbortController().signal })
const asEmitter: NodeJS.EventEmitter = typed
expectType<HyperEmitter<Events>>(typed.setMaxListeners(20))
expectType<number>(typed.getMaxListeners())
asEmitter.removeAllListeners()
expectError(typed.stream({ from: true }))

// Status and errors.
typed.status.on('ready', () => {})
typed.status.once('error', (error) => { expectType<Error>(error) })
typed.emit('userRemoved', { id: 1 }, (error) => {
  if (error === null) return
  expectType<HyperEmitter.ErrorCode>(error.code)
  switch (error.code) {
    case 'ERR_HYPER_CLOSED': break
    // @ts-expect-error no such code
    case 'ERR_HYPER_NOPE': break
  }
})
const { HyperError } = HyperEmitter
try {
  await typed.append('userRemoved', { id: 1 })
} catch (error) {
  if (error instanceof HyperError) expectType<HyperEmitter.ErrorCode>(error.code)
  if (error instanceof HyperError) expectType<string | undefined>(error.path)
  if (error instanceof HyperError && error.event === 'userRemoved') expectType<string | undefined>(error.field)
}
expectType<HyperEmitter.HyperError>(new HyperError('ERR_HYPER_CLOSED', 'mine', { cause: 1 }))
expectError(new HyperError('ERR_HYPER_NOPE', 'mine'))
expectError(typed.status.on('connectionError', (error: number) => {}))
expectAssignable<HyperEmitter.ErrorCode>('ERR_HYPER_LOCKED')
expectNotAssignable<HyperEmitter.ErrorCode>('ERR_HYPER_NOPE')
expectType<Promise<void>>(typed.close())
expectType<void>(typed.close(() => {}))
