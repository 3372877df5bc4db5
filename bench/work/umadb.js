'use strict'

// The core of UmaDB, which bench/umadb measures: appends at the end of a log of `count` events, `group` of them per synced commit.

const { spawnSync } = require('node:child_process')
const { UMADB, options, done, folder } = require('../lib/modules')

const { count = 0, group = 1, modes = ['known', 'fresh'], ms = 3000 } = options()
const { status, stdout, stderr } = spawnSync(UMADB, [folder(), count, group, modes.join(), ms].map(String), { encoding: 'utf8' })
if (status !== 0) throw new Error(stderr)
done(JSON.parse(stdout.trim().split('\n').pop()))
