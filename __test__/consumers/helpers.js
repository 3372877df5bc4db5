'use strict'

/** Emits T from `first` to `last`. */
async function emitAll (emitter, first, last) {
  for (let num = first; num < last; num++) emitter.emit('T', { num })
  await emitter.append('T', { num: last })
}

/** From `first` to `last`. */
const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => first + index)

/** The parts of an emitter. */
const partsOf = (emitter) => emitter[Object.getOwnPropertySymbols(emitter).find(({ description }) => description === 'parts')]

/** Warnings of an emitter. */
function warnings (emitter) {
  const heard = []
  emitter.status.on('warning', (error) => heard.push(error))
  return heard
}

module.exports = { emitAll, numbers, partsOf, warnings }
