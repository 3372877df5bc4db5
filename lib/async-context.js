'use strict'

const { AsyncResource } = require('node:async_hooks')

/**
 * Users' functions run in the async context in which they were passed. One turn answers many requests, so without this, the
 * function of one request would see the AsyncLocalStorage of another.
 */

/** The type name that async hooks see. */
const TYPE = 'HYPEREMITTER'

/** The context that is current when this is made. */
class Context extends AsyncResource {
  constructor () {
    super(TYPE)
  }
}

/** An emit's callback with its context, in one object to save memory: there is one for each emit. */
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

/** The promise of `append`, instead of an {@link EmitCallback}. `await` keeps the context by itself. */
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
