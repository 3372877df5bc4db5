'use strict'

/** Codes of errors that may be over in a moment: the same is tried again. */
const TRANSIENT = new Set(['ERR_HYPER_NO_DESCRIPTORS', 'ERR_HYPER_NO_MEMORY', 'ERR_HYPER_NO_SPACE', 'ERR_HYPER_STORAGE', 'ERR_HYPER_STORE'])

function isTransient ({ code }) {
  return TRANSIENT.has(code)
}

/** Whether a value that a projection has kept is not what was written. All of its values can be derived again. */
function isUnreadable ({ code, kept }) {
  return code === 'ERR_HYPER_DAMAGED' && kept !== undefined
}

module.exports = { isTransient, isUnreadable }
