'use strict'

const native = require('./native/addon')
const Acks = require('./native/acks')
const Doorbell = require('./native/doorbell')
const Notices = require('./native/notices')
const PackBuffer = require('./native/pack-buffer')
const Pump = require('./native/pump')
const Requests = require('./native/requests')
const TurnScheduler = require('./native/turn-scheduler')
const { EmitBuffer } = require('./native/emit-buffer')
const DeferredQueue = require('./emitting/deferred-queue')
const EmitPath = require('./emitting/emit-path')
const EventCodecs = require('./emitting/event-codecs')
const UpcastingCodecs = require('./emitting/upcasting-codecs')
const SchemaRecord = require('./emitting/schema-record')
const SchemaStream = require('./emitting/schema-stream')
const SearchIndex = require('./emitting/search-index')
const TagRules = require('./emitting/tags')
const Dispatcher = require('./delivery/dispatcher')
const Rejections = require('./delivery/rejections')
const { Listeners } = require('./delivery/listeners')
const Arrivals = require('./log/arrivals')
const Conflicts = require('./log/conflicts')
const Consumers = require('./consumers')
const { ConsumerRecords } = require('./consumers/records')
const Projections = require('./projections')
const Growth = require('./log/growth')
const Hyperlog = require('./log/hyperlog')
const Maintenance = require('./log/maintenance')
const Positions = require('./log/positions')
const Reader = require('./log/reader')
const RowSource = require('./log/row-source')
const Admission = require('./peers/admission')
const Connections = require('./peers/connections')
const StoreId = require('./peers/store-id')
const Server = require('./peers/server')
const UserStreams = require('./peers/user-streams')
const { Streams } = require('./peers/streams')
const Closing = require('./lifecycle/closing')
const Following = require('./lifecycle/following')
const Opening = require('./lifecycle/opening')
const ProcessHold = require('./lifecycle/process-hold')
const StoreState = require('./lifecycle/store-state')
const Status = require('./status')
const resolveStore = require('./stores/resolve-store')
const { unclosed } = require('./lifecycle/abandoned')
const { Context } = require('./async-context')
const { nativeTrust } = require('./trust/options')
const { MAX_EVENT_SIZE } = require('./options')
const { readOnlyElsewhere } = require('./errors')

/**
 * Creates the parts of one emitter, each with the other parts that it uses, and opens its store in the background.
 *
 * @typedef {object} Parts what the methods of an emitter call
 * @property {EmitPath} emits
 * @property {Acks} acks
 * @property {Listeners} listeners
 * @property {Dispatcher} dispatcher
 * @property {EventCodecs} codecs
 * @property {RowSource} rows
 * @property {Arrivals} arrivals
 * @property {Reader} reader
 * @property {Hyperlog} hyperlog
 * @property {Positions} positions
 * @property {Consumers} consumers
 * @property {Projections} projections
 * @property {Maintenance} maintenance
 * @property {SchemaRecord} schemaRecord
 * @property {StoreId} storeId
 * @property {Connections} connections
 * @property {Server} server
 * @property {Admission} admission
 * @property {UserStreams} userStreams
 * @property {StoreState} state
 * @property {Status} status
 * @property {Closing} closing
 * @property {string | null} publicKey
 *
 * @param {object} emitter the HyperEmitter
 * @param {*} db
 * @param {object} options checked
 * @param {Promise<object>} [schemaRead] when the schema is still being read from a stream
 * @returns {Parts}
 */
function wire (emitter, db, options, schemaRead) {
  const { maxEventSize, maxPending, reconnectTimeout, protobuf, readOnly = false } = options
  const standard = protobuf === 'standard'

  // These may throw, so they come before anything is opened.
  const tagRules = new TagRules(options.tags)
  const codecs = codecsOf(emitter, standard, options)

  // The native half.
  const database = { keepOpen: false }
  const { path, level } = resolveStore(native, db, database)
  if (readOnly && path === undefined) throw readOnlyElsewhere()
  const doorbell = new Doorbell()
  const settings = { path, readOnly, maxEventSize, maxPending, reconnectTimeout, standard, trust: nativeTrust(options) }
  const core = new native.Core(settings, doorbell.ring, level)

  // Parts that all others use.
  const context = new Context()
  const status = new Status(emitter.status, context)
  const state = new StoreState(core, readOnly)
  const hold = new ProcessHold()
  const scheduler = new TurnScheduler()
  const requests = new Requests(hold)
  const notices = new Notices(core, context)
  const packBuffer = new PackBuffer()

  // Emitting.
  const deferred = new DeferredQueue()
  const acks = new Acks(core, packBuffer, status)
  const buffer = new EmitBuffer(core, maxEventSize ?? MAX_EVENT_SIZE, scheduler)
  const searchIndex = level && new SearchIndex(core, requests, status)
  const emits = new EmitPath({ codecs, buffer, acks, deferred, searchIndex, state, hold, status, tagRules })

  // Reading the log.
  const growth = new Growth(core, requests, state)
  const rows = new RowSource(core, requests, growth, status)
  const positions = new Positions(core, requests, state)

  // Delivery.
  const listeners = new Listeners(core)
  const rejections = new Rejections(emitter, status, options.captureRejections)
  const dispatcher = new Dispatcher({
    emitter, context, core, packBuffer, notices, scheduler, listeners, rejections, codecs, rows, state, status
  })
  const arrivals = new Arrivals({ core, requests, state, dispatcher })
  const reader = new Reader({ core, requests, rows, arrivals, codecs, state, status })
  const consumerRecords = new ConsumerRecords(core, requests)
  const consumers = new Consumers({ records: consumerRecords, reader, arrivals, emits, deferred, state, status })
  const canKeep = (path !== undefined && !readOnly) || level !== undefined
  const projections = new Projections({ core, requests, canKeep, reader, arrivals, deferred, state, status })
  const maintenance = new Maintenance(core, requests, consumers, projections)
  const conflicts = new Conflicts({ reader, status })
  const hyperlog = new Hyperlog(reader, rows, state)
  const schemaStream = new SchemaStream({ deferred, dispatcher, scheduler, state, status })

  const schemaRecord = new SchemaRecord({ core, requests, codecs, state, status })

  // Peers.
  const storeId = new StoreId(emitter, core, requests, state)
  const { peers, plain, tls } = options
  const streams = new Streams(core, hold)
  const admission = new Admission({ core, peers, plain, context, status })
  const connections = new Connections({ emitter, core, requests, acks, state, hold, status, streams, admission, schemaRecord, tls })
  const server = new Server({ emitter, core, requests, storeId, emits, state, status, hold, streams, admission, schemaRecord, tls })
  const userStreams = new UserStreams({ streams, connections, schemaRecord, state })

  // Lifecycle.
  const opening = new Opening({ emitter, state, status, acks, dispatcher })
  const closing = new Closing({
    emitter, core, level, state, hold, status, scheduler, requests, acks, buffer, schemaStream, schemaRecord, dispatcher, connections, server, streams, growth, consumers, projections
  })

  // These parts need others that are created after them.
  emits.arrivals = arrivals
  scheduler.pump = new Pump({ scheduler, acks, dispatcher, notices, state, hold })
  notices.deliverTo({ opening, requests, connections, admission, streams, conflicts, state, status })
  // The dispatcher comes last: an event may be stored after the turn has looked for events, and before the part that brought it
  // has become idle.
  const following = new Following({ state, hold, listeners, growth })
  hold.holdWhileBusy([acks, state, requests, growth, following, connections, server, streams, deferred, dispatcher])

  doorbell.ringForEmitter(scheduler)
  unclosed.register(emitter, { core, doorbell, timer: hold.timer, database }, hold)
  if (schemaRead !== undefined) schemaStream.waitFor(schemaRead)
  // Both failures are reported elsewhere.
  Promise.all([state.ready, schemaRead]).then(() => schemaRecord.check(), () => {})
  if (options.dial !== false && !readOnly) connections.dialKnown()
  else connections.recall()

  return {
    emits,
    acks,
    listeners,
    dispatcher,
    codecs,
    rows,
    arrivals,
    reader,
    hyperlog,
    positions,
    consumers,
    projections,
    maintenance,
    schemaRecord,
    storeId,
    connections,
    server,
    admission,
    userStreams,
    state,
    status,
    closing,
    publicKey: core.publicKey()
  }
}

function codecsOf (emitter, standard, { strict, upcast }) {
  const refusesText = standard || strict === true
  return upcast === undefined ? new EventCodecs(emitter, refusesText) : new UpcastingCodecs(emitter, refusesText, upcast)
}

module.exports = wire
