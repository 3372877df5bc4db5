'use strict'

require('./any-store')('memory', async () => ({ db: undefined }))
