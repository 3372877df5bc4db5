'use strict'

/** Functions to call once the process has nothing left to do, before it ends. What they begin is waited for. */
const actions = new Set()

function runAll () {
  for (const action of [...actions]) action()
}

/** @param {() => void} action */
function callBeforeExit (action) {
  // One listener for all, because Node.js warns about many.
  if (actions.size === 0) process.on('beforeExit', runAll)
  actions.add(action)
}

function forgetBeforeExit (action) {
  if (actions.delete(action) && actions.size === 0) process.off('beforeExit', runAll)
}

module.exports = { callBeforeExit, forgetBeforeExit }
