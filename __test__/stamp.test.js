'use strict'

/** A second `npm start` does not compile if nothing has changed, and compiles after any change. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { BINARY, hostName } = require('../addon')
const { isBuilt, markBuilt } = require('../scripts/stamp')

function checkout (t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-stamp-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  fs.mkdirSync(path.join(folder, 'src/store'), { recursive: true })
  const addon = `${BINARY}.${hostName()}.node`
  for (const file of ['src/lib.rs', 'src/store/mod.rs', 'build.rs', 'Cargo.toml', 'Cargo.lock', addon]) {
    fs.writeFileSync(path.join(folder, file), file)
  }
  return { folder, addon }
}

test('an addon that has just been built is not built again', (t) => {
  const { folder } = checkout(t)
  assert.equal(isBuilt(folder, 'release'), false)
  markBuilt(folder, 'release')
  assert.equal(isBuilt(folder, 'release'), true)
  assert.equal(isBuilt(folder, 'debug'), false)
})

const CHANGES = {
  'a source changed': ({ folder }) => fs.appendFileSync(path.join(folder, 'src/store/mod.rs'), ' '),
  'a source added': ({ folder }) => fs.writeFileSync(path.join(folder, 'src/new.rs'), ''),
  'a source renamed': ({ folder }) => fs.renameSync(path.join(folder, 'src/lib.rs'), path.join(folder, 'src/main.rs')),
  'a lock file changed': ({ folder }) => fs.writeFileSync(path.join(folder, 'Cargo.lock'), ''),
  'the addon removed': ({ folder, addon }) => fs.rmSync(path.join(folder, addon)),
  'the addon replaced': ({ folder, addon }) => fs.writeFileSync(path.join(folder, addon), 'another'),
  'the addon of another platform': ({ folder, addon }) => fs.renameSync(path.join(folder, addon), path.join(folder, `${BINARY}.other.node`)),
  'other flags of the compiler': (_, t) => {
    const before = process.env.RUSTFLAGS
    process.env.RUSTFLAGS = '-C target-cpu=native'
    t.after(() => { if (before === undefined) delete process.env.RUSTFLAGS; else process.env.RUSTFLAGS = before })
  }
}

for (const [title, change] of Object.entries(CHANGES)) {
  test(`built anew: ${title}`, (t) => {
    const at = checkout(t)
    markBuilt(at.folder, 'release')
    change(at, t)
    assert.equal(isBuilt(at.folder, 'release'), false)
  })
}
