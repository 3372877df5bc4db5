'use strict'

/** Whether the process is kept alive depends on the state at the end of a turn, not at its beginning. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { Context } = require('../../lib/async-context')
const ProcessHold = require('../../lib/lifecycle/process-hold')
const Notices = require('../../lib/native/notices')
const Pump = require('../../lib/native/pump')
const TurnScheduler = require('../../lib/native/turn-scheduler')

test('events that are committed while notices are delivered keep the process alive, although nothing else does any more', (t) => {
  let committed = false
  // After this turn has looked for events, a link stores an event and is then given up.
  const core = {
    takeNotices () {
      committed = true
      return [{ kind: 'gaveUp' }]
    }
  }
  const connections = { busy: true, hear () { this.busy = false } }
  const dispatcher = { deliver: () => false, waits: false, get busy () { return committed } }
  const notices = new Notices(core, new Context())
  notices.deliverTo({ connections })
  const hold = new ProcessHold()
  t.after(() => hold.end())
  hold.holdWhileBusy([connections, dispatcher])
  const pump = new Pump({
    scheduler: new TurnScheduler(),
    acks: { pending: 0, take: () => 4 },
    dispatcher,
    notices,
    state: { opening: false },
    hold
  })
  pump.turn()
  assert.equal(connections.busy, false)
  assert.ok(hold.timer.hasRef())
  committed = false
  hold.refresh()
  assert.ok(!hold.timer.hasRef())
})
