'use strict'

const { AsyncResource } = require('node:async_hooks')

/**
 * What users give to be called later runs in the async context in which they gave it: one turn answers many requests, and
 * with the context of the turn one request would see the AsyncLocalStorage of another.
 */

/** How async hooks see it. */
const TYPE = 'HYPEREMITTER'

/** The context that is current when this is made. */
class Context extends AsyncResource {
  constructor () {
    super(TYPE)
  }
}

/** An emit's callback with its context: one object, because there is one for each emit. */
class EmitCallback extends AsyncResource {
  constructor (callback) {
    super(TYPE)
    this.callback = callback
  }

  answer (error, node) {
    if (error) this.runInAsyncScope(this.callback, undefined, error)
    else this.runInAsyncScope(this.callback, undefined, null, node)
  }
}

/** The promise of `append`, where an {@link EmitCallback} could be; whoever awaits a promise keeps their context anyway. */
class EmitPromise {
  constructor (resolve, reject) {
    this.resolve = resolve
    this.reject = reject
  }

  answer (error, node) {
    if (error) this.reject(error)
    else this.resolve(node)
  }
}

/** `callback` bound to the current context. */
function inContext (callback) {
  const context = new Context()
  return (...args) => context.runInAsyncScope(callback, undefined, ...args)
}

module.exports = { Context, EmitCallback, EmitPromise, inContext }
