'use strict'

/** What holds the process is decided on how things stand when a turn ends, not on how they stood when it began. */

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { Context } = require('../../lib/async-context')
const Loop = require('../../lib/native/pump')

test('events committed while notices are heard hold the process, when the last thing that held it is over', (t) => {
  let busy = true
  let committed = false
  const loop = new Loop({
    context: new Context(),
    acks: { pending: 0, take: () => 4 },
    dispatcher: { pump: () => false, waits: false, listeners: { size: 1 } },
    // A link stores an event and is given up: both after this turn has looked for events.
    core: {
      takeNotices () {
        committed = true
        return [{ kind: 'gaveUp' }]
      },
      behind: () => committed
    },
    notice () { busy = false },
    isOpening: () => false,
    needed: () => busy
  })
  t.after(() => loop.stop())
  loop.run()
  assert.equal(busy, false)
  assert.ok(loop.hold.hasRef())
  committed = false
  loop.refresh()
  assert.ok(!loop.hold.hasRef())
})
