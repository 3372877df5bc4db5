'use strict'

// What is measured, and with what it is compared. `ratio` is ours over theirs, and higher is better, unless `unit` says that
// the figure itself is the goal.

const { UMADB } = require('./lib/modules')

const K = 1000

/**
 * @typedef {object} Side
 * @property {string} work
 * @property {object | ((ours: object) => object)} [options] a peer's may depend on what our side measured
 * @property {(result: object) => number} pick
 */

/** Appends to an event store, in one process and on one log: rates of each kind. */
const appends = (count) => ({ work: 'append', options: { count, modes: ['plain', 'tagged', 'known', 'fresh', 'batch', 'batches'] } })
const lone = (count) => ({ work: 'append', options: { count, window: 1, modes: ['tagged', 'known', 'fresh'] } })

/** Rows of an event store with so many events. */
const eventStore = (count) => [
  ['one tag each, of 100,000 different, 1024 in flight', appends, 'tagged', 'plain', 0.85],
  ['on a condition behind a recent change, 1024 in flight', appends, 'known', 'tagged', 0.7],
  ['on the condition that nothing has had its tag, 1024 in flight', appends, 'fresh', 'tagged', 0.7],
  ['on a condition behind a recent change, one at a time', lone, 'known', 'tagged', 0.9],
  ['on the condition that nothing has had its tag, one at a time', lone, 'fresh', 'tagged', 0.9],
  ['batches of 100 events, 10 in flight', appends, 'batch', 'plain'],
  ['batches of 100 events, 32 in flight', appends, 'batches', 'plain', 1.5]
].map(([name, work, mode, other, goal]) => ({
  name: `append at the end of ${count.toLocaleString('en')} events: ${name}`,
  peer: other === 'tagged' ? 'the same without a condition' : 'single events without tags',
  goal,
  ours: { ...work(count), pick: ({ rates }) => rates[mode] },
  theirs: { ...work(count), pick: ({ rates }) => rates[other] }
}))

/** The conditional rows beside the core of UmaDB, with as many events per commit. */
const besideUmaDB = (count) => [
  ['on a condition behind a recent change, 1024 in flight', appends, 'known'],
  ['on the condition that nothing has had its tag, 1024 in flight', appends, 'fresh'],
  ['on a condition behind a recent change, one at a time', lone, 'known'],
  ['on the condition that nothing has had its tag, one at a time', lone, 'fresh']
].map(([name, work, mode]) => ({
  name: `append at the end of ${count.toLocaleString('en')} events: ${name}`,
  peer: 'the core of UmaDB, groups as large as ours',
  goal: 5,
  built: UMADB,
  ours: { ...work(count), pick: ({ rates }) => rates[mode] },
  theirs: { work: 'umadb', options: ({ groupings }) => ({ count, group: Math.max(1, Math.round(groupings.known)) }), pick: ({ rates }) => rates[mode] }
}))

const queries = (count) => [
  ['100 events by name', 'ms', 5, 'name'],
  ['100 events by tag', 'ms', 5, 'tag'],
  ['100 events by name and tag', 'ms', 5, 'both'],
  ['the latest event with a tag', 'ms', 0.5, 'latest'],
  ['index per tag', 'bytes', 12, 'bytesPerTag']
].map(([name, unit, most, of]) => ({
  name: `${name}, among ${count.toLocaleString('en')}`, unit, most, work: 'queries', options: { count }, pick: (result) => result[of]
}))

/** Rates against a peer: each pair is run in turn, `rounds` times; the median of the pairs' ratios counts. */
exports.pairs = [
  ...[[1024, 100], [64, 70], [1, 10]].map(([window, goal]) => ({
    name: `emit + callback + listener, memory, ${window} in flight`,
    peer: 'hyperemitter 1.3.0 on memdb',
    goal,
    ours: { work: 'emit', options: { store: 'memory', window }, pick: rate },
    theirs: { work: 'emit', options: { which: 'original', window }, pick: rate }
  })),
  {
    name: 'emit + callback + listener, memdb through the level adapter, 1024 in flight',
    peer: 'hyperemitter 1.3.0 on memdb',
    goal: 15,
    ours: { work: 'emit', options: { store: 'memdb', window: 1024 }, pick: rate },
    theirs: { work: 'emit', options: { which: 'original', window: 1024 }, pick: rate }
  },
  ...[
    ['Redis 7 XADD, appendfsync always', 2, 'redis', { window: 1024 }, 'redis-server'],
    ['plain file, groups as large as ours, fdatasync', 0.6, 'file', (ours) => ours.grouping],
    ['plain file, groups of 1024, fdatasync', undefined, 'file', { window: 1024 }],
    ['hypercore 11 append, not synced', undefined, 'hypercore', { window: 1024 }],
    ['lmdb-js, a put per event, commits synced', 1, 'lmdb', { window: 1024 }],
    ['better-sqlite3, WAL, synchronous=FULL, groups as large as ours', 0.9, 'sqlite', (ours) => ours.grouping]
  ].map(([peer, goal, work, options, needs]) => ({
    name: 'durable emit, 1024 in flight',
    peer,
    goal,
    needs,
    ours: { work: 'emit', options: { store: 'path', window: 1024 }, pick: rate },
    theirs: { work, options, pick: rate }
  })),
  {
    name: 'durable emit, one at a time',
    peer: 'raw write + fdatasync',
    goal: 0.8,
    ours: { work: 'emit', options: { store: 'path', window: 1 }, pick: rate },
    theirs: { work: 'file', options: { window: 1 }, pick: rate }
  },
  {
    name: 'durable emit, one at a time',
    peer: 'Redis 7 XADD, appendfsync always',
    needs: 'redis-server',
    ours: { work: 'emit', options: { store: 'path', window: 1 }, pick: rate },
    theirs: { work: 'redis', options: { window: 1 }, pick: rate }
  },
  ...eventStore(1000 * K),
  ...besideUmaDB(1000 * K),
  {
    name: 'catch-up over loopback, memory',
    peer: 'hyperemitter 1.3.0 on memdb',
    goal: 25,
    ours: { work: 'replicate', options: { mode: 'catchup', count: 200 * K }, pick: rate },
    theirs: { work: 'replicate', options: { which: 'original', mode: 'catchup', count: 20 * K }, pick: rate }
  },
  {
    name: 'catch-up over loopback, embedded store',
    peer: 'hyperemitter 1.3.0 on memdb',
    goal: 15,
    ours: { work: 'replicate', options: { store: 'path', mode: 'catchup', count: 200 * K }, pick: rate },
    theirs: { work: 'replicate', options: { which: 'original', mode: 'catchup', count: 20 * K }, pick: rate }
  },
  {
    name: 'live replication, emitter to a listener in another process, 1024 in flight',
    peer: 'hyperemitter 1.3.0 on memdb',
    goal: 40,
    ours: { work: 'replicate', options: { mode: 'live', count: 200 * K }, pick: rate },
    theirs: { work: 'replicate', options: { which: 'original', mode: 'live', count: 5 * K }, pick: rate }
  },
  ...[
    ['durable emit, 1024 in flight', 'emit', { store: 'path', window: 1024 }, 0.85],
    ['durable emit, one at a time', 'emit', { store: 'path', window: 1 }, 0.9],
    ['emit + callback + listener, memory, 1024 in flight', 'emit', { store: 'memory', window: 1024 }, 0.85],
    ['catch-up, memory', 'replicate', { mode: 'catchup', count: 200 * K }, 0.85],
    ['catch-up, embedded store', 'replicate', { store: 'path', mode: 'catchup', count: 200 * K }, 0.85],
    ['live, to a listener in another process, 1024 in flight', 'replicate', { mode: 'live', count: 200 * K }, 0.85]
  ].map(([name, work, options, goal]) => ({
    name: `with identities (sealed logs, secure links): ${name}`,
    peer: 'the same without',
    goal,
    ours: { work, options: { ...options, sealed: true }, pick: rate },
    theirs: { work, options, pick: rate }
  })),
  {
    name: 'replay from the beginning, decoded, stream()',
    peer: 'NATS JetStream ordered consumer',
    goal: 3,
    needs: 'nats-server',
    ours: { work: 'disk', options: { count: 300 * K }, pick: (result) => result.streamRate },
    theirs: { work: 'nats', options: { count: 100 * K }, pick: rate }
  },
  {
    name: 'replay from the beginning, raw read()',
    peer: 'NATS JetStream ordered consumer',
    goal: 3,
    needs: 'nats-server',
    ours: { work: 'disk', options: { count: 300 * K }, pick: (result) => result.cursorRate },
    theirs: { work: 'nats', options: { count: 100 * K }, pick: rate }
  },
  {
    name: 'replay from the beginning, raw read()',
    peer: 'hypercore 11 createReadStream',
    ours: { work: 'disk', options: { count: 300 * K }, pick: (result) => result.cursorRate },
    theirs: { work: 'hypercore', options: { mode: 'read', count: 100 * K }, pick: rate }
  },
  {
    name: 'subscription from the beginning, trivial handler, on disk',
    peer: 'read() of the same events, without a place that is kept',
    goal: 0.3,
    ours: { work: 'subscribe', options: { count: 300 * K }, pick: rate },
    theirs: { work: 'subscribe', options: { count: 300 * K, mode: 'read' }, pick: rate }
  },
  {
    name: 'projection from the beginning, 10,000 keys, kept on disk',
    peer: 'read() of the same events into a Map, which is not kept',
    goal: 0.35,
    ours: { work: 'project', options: { count: 300 * K }, pick: rate },
    theirs: { work: 'project', options: { count: 300 * K, mode: 'read' }, pick: rate }
  },
  ...[
    ['a checkpoint per 1,024 events', { count: 300 * K }, 5],
    ['a checkpoint per event', { count: 10 * K, every: 1 }]
  ].flatMap(([how, options, goal]) => [
    ['NATS JetStream, durable pull consumer on files, not synced, ack each', 'jetstream', { count: 100 * K }, 'nats-server'],
    ['BullMQ, 100 jobs at a time, Redis with appendfsync everysec', 'bullmq', { count: 20 * K }, 'redis-server'],
    ['BullMQ, 100 jobs at a time, Redis with appendfsync always', 'bullmq', { count: 20 * K, fsync: 'always' }, 'redis-server']
  ].map(([peer, work, theirs, needs]) => ({
    name: `subscription from the beginning, trivial handler, on disk, ${how}`,
    peer,
    goal,
    needs,
    ours: { work: 'subscribe', options, pick: rate },
    theirs: { work, options: theirs, pick: rate }
  }))),
  {
    name: 'emit + callback + listener, memory, 4 KB events, 1024 in flight',
    peer: 'SHA-256 alone, one thread (node:crypto)',
    goal: 0.6,
    ours: { work: 'emit', options: { store: 'memory', window: 1024, bytes: 4096, ms: 3000 }, pick: rate },
    theirs: { work: 'sha', options: { bytes: 4096 }, pick: rate }
  }
]

/** Figures without a peer. `most` is the goal: the largest value, in `unit`. */
exports.figures = [
  { name: 'live latency, one event at a time, memory, p50', unit: 'ms', most: 0.3, work: 'replicate', options: { mode: 'latency', count: 3000 }, pick: (result) => result.p50 },
  { name: 'live latency, one event at a time, memory, p99', unit: 'ms', most: 2, work: 'replicate', options: { mode: 'latency', count: 3000 }, pick: (result) => result.p99 },
  { name: 'reopen with 1,000,000 events', unit: 'ms', most: 100, work: 'disk', options: { count: 1000 * K }, pick: (result) => result.openMs },
  { name: 'reopen with 1,000,000 events and a projection with 10,000 keys that is up to date, until it answers', unit: 'ms', most: 300, work: 'project', options: { count: 1000 * K }, pick: (result) => result.openMs },
  { name: 'reopen with 1,000,000 events, index rebuilt', unit: 'ms', most: 3000, work: 'disk', options: { count: 1000 * K }, pick: (result) => result.rebuildMs },
  { name: 'memory with 1,000,000 events on disk, idle', unit: 'MB', most: 150, work: 'disk', options: { count: 1000 * K }, pick: (result) => result.idle / 1e6 },
  { name: 'memory with 1,000,000 events on disk, during replay', unit: 'MB', most: 150, work: 'disk', options: { count: 1000 * K }, pick: (result) => result.streamPeak / 1e6 },
  ...queries(1000 * K),
  // 38 bytes of payload, 9 of name, 32 of key, twice.
  { name: 'disk per event', unit: 'bytes', most: 158, work: 'disk', options: { count: 1000 * K }, pick: (result) => result.bytesPerEvent }
]

/** As `pairs`, only with --long. */
exports.longPairs = [...eventStore(10000 * K), ...besideUmaDB(10000 * K)]

/** Only with --long: they take minutes each. With `base` the figure is the base's rate over the row's. */
exports.long = [
  ...queries(10000 * K),
  { name: 'reopen with 10,000,000 events', unit: 'ms', most: 300, work: 'disk', options: { count: 10000 * K }, pick: (result) => result.openMs },
  // The index keeps a filter in memory: 6 MiB for each 32 chunks of 48 Ki events.
  { name: 'memory growth over 10,000,000 live events beyond the index (40 MB), embedded store', unit: 'MB', most: 20, work: 'growth', options: { count: 10000 * K }, pick: (result) => result.growth / 1e6 - 10000 * K * (6 << 20) / (32 * (48 << 10)) / 1e6 },
  ...[
    ['append at the end of 10,000,000 events, time against 1,000,000', 'disk', {}, (result) => result.appendRate],
    ['catch-up of 10,000,000 events, embedded store, time per event against 1,000,000', 'replicate', { store: 'path', mode: 'catchup' }, rate]
  ].map(([name, work, options, pick]) => ({
    name,
    unit: 'x',
    most: 1.3,
    work,
    options: { ...options, count: 10000 * K },
    pick,
    base: { work, options: { ...options, count: 1000 * K }, pick }
  }))
]

function rate (result) {
  return result.rate
}
