'use strict'

// The guide to two services shows the files of the example, as they are.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const SHOP = path.join(__dirname, '../../examples/shop')
const guide = fs.readFileSync(path.join(__dirname, '../../docs/guides/two-services.md'), 'utf8')

test('the guide shows every file of the example', () => {
  const shown = new Map([...guide.matchAll(/^`examples\/shop\/([\w.]+)`:\n\n```\w+\n([^]*?)^```$/gm)].map(([, file, text]) => [file, text]))
  const files = fs.readdirSync(SHOP).filter((file) => /\.(?:js|proto)$/.test(file))
  assert.deepEqual([...shown.keys()].sort(), files.sort())
  for (const file of files) {
    // Outside this repository the module has its name.
    const text = fs.readFileSync(path.join(SHOP, file), 'utf8').replace("require('../..')", "require('hyperemitter')")
    assert.equal(shown.get(file), text, file)
  }
})
