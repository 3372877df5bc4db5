'use strict'

// A codec is any object with encode and decode; events without one carry bytes or text.

const HyperEmitter = require('..')

const json = {
  encode: (value) => JSON.stringify(value),
  decode: (bytes) => JSON.parse(bytes)
}

const emitter = new HyperEmitter(':memory:')
emitter.registerCodec('measured', json)

emitter.on('measured', (measurement) => console.log(measurement))
emitter.on('note', (bytes) => {
  console.log(bytes.toString())
  emitter.close()
})

emitter.emit('measured', { celsius: 21.5, at: ['kitchen', 'window'] })
emitter.emit('note', 'plain text, no codec')
