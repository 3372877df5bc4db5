'use strict'

// Every code block of the documentation does what it says: `js` runs, and prints the `text` block that follows; `ts` compiles
// under --strict; `console` is a dialogue with a shell; `sh` names commands of package.json.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, test } = require('node:test')

const root = path.join(__dirname, '../..')
const { scripts } = require('../../package.json')
const DOCUMENTS = ['README.md', 'UPGRADING.md', 'CONTRIBUTING.md', 'docs/API.md', 'docs/guides/security.md', 'docs/guides/consumers.md', 'docs/guides/event-sourcing.md', 'docs/guides/operations.md']

/** Documents whose blocks go on where the ones before have ended. The blocks of others each begin in an empty folder. */
const CONTINUED = new Set(['docs/guides/operations.md'])

/** Fenced blocks of a document: `{ language, text, line, next }`. */
function blocks (document) {
  const text = fs.readFileSync(path.join(root, document), 'utf8')
  const found = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(({ 1: language, 2: body, index }) =>
    ({ language, text: body, line: text.slice(0, index).split('\n').length }))
  found.forEach((block, i) => { block.next = found[i + 1] })
  return found
}

/** An empty application with hyperemitter and hypem in it. */
function application (t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-docs-'))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  fs.mkdirSync(path.join(folder, 'node_modules/.bin'), { recursive: true })
  fs.symlinkSync(root, path.join(folder, 'node_modules/hyperemitter'), 'junction')
  fs.symlinkSync(path.join(root, 'bin/hypem.js'), path.join(folder, 'node_modules/.bin/hypem'))
  return folder
}

function run (command, args, cwd) {
  const PATH = [path.join(cwd, 'node_modules/.bin'), process.env.PATH].join(path.delimiter)
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, PATH, NO_COLOR: '1' } })
  assert.equal(status, 0, `${stdout}\n${stderr}`)
  return stdout
}

const CHECKS = {
  js (block, folder) {
    fs.writeFileSync(path.join(folder, 'block.js'), block.text)
    const printed = run(process.execPath, ['block.js'], folder)
    if (block.next?.language === 'text') assert.equal(printed, block.next.text)
  },
  ts (block, folder) {
    fs.writeFileSync(path.join(folder, 'block.mts'), block.text)
    fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({
      compilerOptions: { strict: true, noEmit: true, module: 'nodenext', target: 'es2022', types: ['node'], typeRoots: [path.join(root, 'node_modules/@types')], preserveSymlinks: true },
      files: ['block.mts']
    }))
    run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], folder)
  },
  console (block, folder) {
    const turns = block.text.split(/^\$ /m).slice(1).map((turn) => turn.match(/^(.*)\n([^]*)$/))
    assert.ok(turns.length > 0)
    for (const [, command, expected] of turns) assert.equal(run('/bin/sh', ['-c', command], folder), expected, command)
  },
  sh (block) {
    for (const command of block.text.trim().split('\n')) {
      const [, name] = /^npm (?:run )?(\w+)/.exec(command)
      assert.ok(name in scripts, command)
    }
  }
}

for (const document of DOCUMENTS) {
  const shared = CONTINUED.has(document) && application({ after })
  for (const block of blocks(document)) {
    const check = CHECKS[block.language]
    if (!check) continue
    const skip = block.language === 'console' && process.platform === 'win32' && 'needs a POSIX shell'
    test(`${document}:${block.line} (${block.language})`, { skip }, (t) => check(block, shared || application(t)))
  }
}

test('links and pictures have existing targets', () => {
  const documents = fs.readdirSync(root).concat(fs.readdirSync(path.join(root, 'docs'), { recursive: true }).map((file) => path.join('docs', file)))
    .filter((file) => file.endsWith('.md'))
  for (const document of documents) {
    const text = fs.readFileSync(path.join(root, document), 'utf8')
    for (const [, target] of text.matchAll(/\]\((?!\w+:)([^)]+)\)/g)) {
      const [file, anchor] = target.split('#')
      const full = path.join(root, path.dirname(document), file || path.basename(document))
      assert.ok(fs.existsSync(full), `${document}: ${target}`)
      if (!anchor) continue
      const headings = [...fs.readFileSync(full, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading.toLowerCase().replace(/[^\w\s-]/g, '').replace(/ /g, '-'))
      assert.ok(headings.includes(anchor), `${document}: ${target}`)
    }
  }
})
