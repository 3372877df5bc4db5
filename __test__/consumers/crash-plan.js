'use strict'

/** Constants that crash.test.js shares with the process that it kills. */
module.exports = {
  /** The number whose handler ends the process. */
  POISON: 40,
  /** Entries per checkpoint. */
  EVERY: 8,
  ATTEMPTS: 3,
  POINTS: ['before', 'effect', 'after', 'append', 'return', 'emit']
}
