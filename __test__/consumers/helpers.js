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

/** Resolves once the store has answered derived events, and their subscription has taken note. */
function derivedAnswered (t, emitter) {
  const { emits } = partsOf(emitter)
  const store = emits.store.bind(emits)
  return new Promise((resolve) => t.mock.method(emits, 'store', (batch, demands, receiver, single) => {
    if (demands?.kept === undefined) return store(batch, demands, receiver, single)
    store(batch, demands, {
      answer (...args) {
        receiver.answer(...args)
        resolve()
      }
    })
  }))
}

/** Warnings of an emitter. */
function warnings (emitter) {
  const heard = []
  emitter.status.on('warning', (error) => heard.push(error))
  return heard
}

module.exports = { derivedAnswered, emitAll, numbers, partsOf, warnings }
