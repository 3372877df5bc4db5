'use strict'

const { forJson, forTerminal } = require('../escape')
const { Failure, UsageFailure } = require('../exit')
const { count, duration, table } = require('../format')

/** The actions on a subscription, each with the smallest and the largest number of operands after its name. */
const ACTIONS = { parked: [0, 0], retry: [1, Infinity], skip: [1, Infinity], reset: [0, 1], remove: [0, 0] }

module.exports = {
  name: 'consumers',
  summary: 'list the subscriptions and projections of a store, and what is parked; retry, skip, reset',
  usage: [
    'consumers DB [--json]',
    'consumers parked DB NAME [--json]',
    'consumers retry|skip DB NAME CURSOR...',
    'consumers reset DB NAME [FROM]',
    'consumers remove DB NAME [--projection]'
  ],
  description: [
    'Lists the subscriptions that a store knows: the change up to which each has handled everything, how many changes are stored after that, the age of the first of these, and how many entries are parked. Then lists the projections that it knows: the version, the change up to which all events are in the states, how many changes are stored after that, and how many keys have a state. While a new version is being derived, "answers" is the version whose states are returned.',
    'parked lists the parked entries of one subscription with their cursors. retry has entries handled once more when the subscription starts the next time; skip drops them. CURSOR may be all. If one of several cursors is wrong, the action is done for those before it, and the message says for how many. reset makes the subscription start at the beginning, or at FROM (now, a change, or a cursor), with nothing parked. remove deletes the records of the subscription; with --projection, it deletes the stored states of a projection, which is then derived from the beginning when it starts the next time.',
    'While another process has the store open, the subscriptions can be listed, and retry, skip, reset and remove do not: there, the methods of the subscription do the same.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }, { name: 'NAME', optional: true, many: true }],
  options: {
    json: { type: 'boolean', help: 'print JSON' },
    projection: { type: 'boolean', help: 'NAME is a projection (with remove)' }
  },
  examples: [
    ['How far each subscription has come', 'hypem consumers db'],
    ['What could not be billed', 'hypem consumers parked db billing'],
    ['Retry all parked entries', 'hypem consumers retry db billing all'],
    ['Derive a projection from the beginning', 'hypem consumers remove db totals --projection']
  ],
  async run (context, { json, projection }, [first, ...rest]) {
    if (!Object.hasOwn(ACTIONS, first) || rest.length === 0) {
      if (rest.length > 0) throw new UsageFailure(`${first} is not one of ${Object.keys(ACTIONS).join(', ')}`)
      const { consumers, projections } = await context.or((await open(context, first, true)).stats())
      await context.print(json ? forJson(withKinds(consumers, projections), 2) + '\n' : list(consumers) + listProjections(projections))
      return
    }
    const [db, name, ...more] = rest
    const [least, most] = ACTIONS[first]
    if (name === undefined) throw new UsageFailure('NAME must be given')
    if (more.length < least) throw new UsageFailure('CURSOR must be given')
    if (more.length > most) throw new UsageFailure(`one argument too many: ${more[most]}`)
    if (projection && first !== 'remove') throw new UsageFailure('--projection is an option of remove')
    const hyper = await open(context, db, first === 'parked')
    if (projection) return context.or(hyper.projection(name).remove())
    const { consumers } = await context.or(hyper.stats())
    if (!consumers.some((each) => each.name === name)) throw new Failure(`there is no subscription ${name} in this store; hypem consumers ${db} lists them`)
    const consumer = hyper.consumer(name)
    if (first === 'parked') {
      const parked = await context.or(consumer.parked())
      await context.print(json ? forJson(parked, 2) + '\n' : parked.map(describe).join(''))
    } else {
      await context.or(change(consumer, first, more))
    }
  }
}

/** Only the process that has the store open can read its projections. So the store is opened for reading only if it is in use. */
async function open (context, db, readOnly) {
  try {
    return await context.open(db, null, { mustExist: true })
  } catch (error) {
    if (!readOnly || error.code !== 'ERR_HYPER_LOCKED') throw error
    context.warn('another process has the store open, so its projections are not listed')
    return context.open(db, null, { mustExist: true, readOnly: true })
  }
}

async function change (consumer, action, [first, ...more]) {
  if (action === 'remove') return consumer.remove()
  if (action === 'reset') return consumer.reset(first !== undefined && /^\d+$/.test(first) ? Number(first) : first)
  const cursors = first === 'all' ? await consumer.parked() : [first, ...more]
  for (const [done, cursor] of cursors.entries()) {
    try {
      await consumer[action](cursor)
    } catch (error) {
      throw done === 0 ? error : new Failure(`${error.message}; ${action} was done for ${count(done)} of ${count(cursors.length)} cursors, those before this one`)
    }
  }
}

function list (consumers) {
  if (consumers.length === 0) return ''
  const rows = consumers.map(({ name, change, behind, age, parked, fault }) =>
    [name, change, behind, age === null ? '-' : duration(age / 1000), parked, ...fault === undefined ? [] : [fault]])
  return table([['name', 'change', 'behind', 'age', 'parked'], ...rows])
}

function withKinds (consumers, projections) {
  return [...consumers.map((each) => ({ kind: 'subscription', ...each })), ...projections.map((each) => ({ kind: 'projection', ...each }))]
}

function listProjections (projections) {
  if (projections.length === 0) return ''
  const rows = projections.map(({ name, version, answers, change, behind, keys, fault }) =>
    [name, version ?? '-', answers ?? '-', change, behind, keys, ...fault === undefined ? [] : [fault]])
  return table([['projection', 'version', 'answers', 'change', 'behind', 'keys'], ...rows])
}

function describe ({ cursor, change, name, attempts, reason, at }) {
  return `${forTerminal(cursor)}\n  change ${count(change)}, ${forTerminal(name ?? 'no event')}, ${count(attempts)} attempts, ${new Date(at).toISOString()}\n  ${forTerminal(reason)}\n`
}
