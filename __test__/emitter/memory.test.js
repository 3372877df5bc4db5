'use strict'

require('./abstract-emitter')('memory', async () => ({ db: undefined }))
