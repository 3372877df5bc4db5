'use strict'

const { forJson, forTerminal } = require('../escape')
const { Failure, UsageFailure } = require('../exit')
const { count, duration, table } = require('../format')

/** The actions on a subscription, each with the smallest and the largest number of operands after its name. */
const ACTIONS = { parked: [0, 0], retry: [1, Infinity], skip: [1, Infinity], reset: [0, 1], remove: [0, 0] }

module.exports = {
  name: 'consumers',
  summary: 'list the subscriptions of a store, and what they have parked; retry, skip, reset',
  usage: [
    'consumers DB [--json]',
    'consumers parked DB NAME [--json]',
    'consumers retry|skip DB NAME CURSOR...',
    'consumers reset DB NAME [FROM]',
    'consumers remove DB NAME'
  ],
  description: [
    'Lists the subscriptions that a store knows: the change up to which each has handled everything, how many changes are stored after that, the age of the first of these, and how many entries are parked.',
    'parked lists the parked entries of one subscription with their cursors. retry has entries handled once more when the subscription starts the next time; skip drops them. CURSOR may be all. If one of several cursors is wrong, the action is done for those before it, and the message says for how many. reset makes the subscription start at the beginning, or at FROM (now, a change, or a cursor), with nothing parked. remove deletes the records of the subscription.',
    'A store that another process has open cannot be opened. In that process, the methods of the subscription do the same.'
  ],
  operands: [{ name: 'DB', value: 'DIR' }, { name: 'NAME', optional: true, many: true }],
  options: {
    json: { type: 'boolean', help: 'print JSON' }
  },
  examples: [
    ['How far each subscription has come', 'hypem consumers db'],
    ['What could not be billed', 'hypem consumers parked db billing'],
    ['Retry all parked entries', 'hypem consumers retry db billing all']
  ],
  async run (context, { json }, [first, ...rest]) {
    if (!Object.hasOwn(ACTIONS, first) || rest.length === 0) {
      if (rest.length > 0) throw new UsageFailure(`${first} is not one of ${Object.keys(ACTIONS).join(', ')}`)
      const { consumers } = await context.or((await open(context, first)).stats())
      await context.print(json ? forJson(consumers, 2) + '\n' : list(consumers))
      return
    }
    const [db, name, ...more] = rest
    const [least, most] = ACTIONS[first]
    if (name === undefined) throw new UsageFailure('NAME must be given')
    if (more.length < least) throw new UsageFailure('CURSOR must be given')
    if (more.length > most) throw new UsageFailure(`one argument too many: ${more[most]}`)
    const hyper = await open(context, db)
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

function open (context, db) {
  return context.open(db, null, { mustExist: true })
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

function describe ({ cursor, change, name, attempts, reason, at }) {
  return `${forTerminal(cursor)}\n  change ${count(change)}, ${forTerminal(name ?? 'no event')}, ${count(attempts)} attempts, ${new Date(at).toISOString()}\n  ${forTerminal(reason)}\n`
}
