'use strict'

/**
 * Runs everything that must succeed before a change lands: `npm test`. What is missing is set up first.
 *
 *   node scripts/test.js              all groups, in order
 *   node scripts/test.js lint js      these groups only
 *   node scripts/test.js --prebuilt   with the existing addon, without building it
 *
 * Every step runs even if an earlier one failed. A step counts as one check, or as many as its test runner reports.
 */

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..')

/** A step that takes longer than this hangs. The slowest one takes a quarter of it on two cores. */
const STEP_LIMIT_MS = 40 * 60 * 1000

const node = process.execPath
const cargo = (...args) => ['cargo', ...args]
const npx = (...args) => ['npx', '--no-install', ...args]
const nodeTest = (...groups) =>
  [node, '--test', '--test-reporter=spec', '--test-timeout=600000', ...testFiles().filter((file) => groups.includes(groupOf(file)))]

/** Folders of __test__ that run apart from the rest; all other test files are in the group `js`. */
const APART = ['interop', 'original', 'package', 'types']

function testFiles () {
  return fs.readdirSync(path.join(root, '__test__'), { recursive: true })
    .filter((file) => file.endsWith('.test.js') && !file.includes('node_modules'))
    .map((file) => path.join('__test__', file))
    .sort()
}

function groupOf (file) {
  const folder = file.split(path.sep)[1]
  return APART.includes(folder) ? folder : 'js'
}

/**
 * Clippy lints that are allowed in tests, benches and examples, because clippy does not recognise all their helpers as test
 * code.
 */
const MAY_FAIL = ['unwrap_used', 'expect_used', 'panic', 'indexing_slicing', 'cast_possible_truncation']
  .flatMap((lint) => ['-A', `clippy::${lint}`])

/** Group, step, command, additions to the environment. */
const STEPS = [
  ['lint', 'javascript style', npx('standard')],
  ['lint', 'rust style', cargo('fmt', '--check')],
  ['lint', 'clippy', cargo('clippy', '--locked', '--lib', '--', '-D', 'warnings')],
  ['lint', 'clippy, core alone', cargo('clippy', '--locked', '--lib', '--no-default-features', '--', '-D', 'warnings')],
  ['lint', 'clippy, tests and benches', cargo('clippy', '--locked', '--all-targets', '--', '-D', 'warnings', ...MAY_FAIL)],
  ['lint', 'rust documentation', cargo('doc', '--locked', '--no-deps', '--document-private-items', '--quiet'), { RUSTDOCFLAGS: '-D warnings' }],
  ['lint', 'crates', [node, 'scripts/crates.js']],
  ['lint', 'limits', [node, 'scripts/limits.js']],
  ['lint', 'imports', [node, 'scripts/imports.js']],
  ['lint', 'npm packages', [node, 'scripts/packages.js']],
  ['rust', 'rust tests', cargo('test', '--locked', '--quiet')],
  ['rust', 'rust tests, core alone', cargo('test', '--locked', '--quiet', '--no-default-features')],
  ['js', 'javascript tests', npx('c8', ...nodeTest('js'))],
  ['interop', 'beside hyperemitter 1.3.0', nodeTest('interop', 'original')],
  ['soak', 'everything at once', [node, 'scripts/soak.js', '--seconds', '20']],
  ['types', 'types of the package', npx('tsc', '-p', '__test__/types')],
  ['types', 'type tests', npx('tsd')],
  ['types', 'versions of TypeScript', nodeTest('types')],
  ['types', 'package metadata', npx('publint', '--strict')],
  ['types', 'module resolution', npx('attw', '--pack', '.')],
  ['package', 'packed tarballs', nodeTest('package')]
]

/** Groups that need the addon and the packages that tests compare us with. */
const NEED_BUILD = ['js', 'interop', 'soak', 'types', 'package']

/** Numbers of passed and failed tests in the last lines of the runner's output; undefined if there are none. */
function count (output) {
  const sum = (pattern) => {
    const found = [...output.matchAll(pattern)]
    return found.length > 0 ? found.reduce((total, [, number]) => total + Number(number), 0) : undefined
  }
  const passed = sum(/^(?:# |ℹ )pass (\d+)$/gm) ?? sum(/^test result: .*?(\d+) passed/gm)
  const failed = sum(/^(?:# |ℹ )(?:fail|cancelled) (\d+)$/gm) ?? sum(/^test result: .*?(\d+) failed/gm)
  return passed === undefined ? undefined : { passed, failed }
}

/** Runs one command with its output shown; resolves to how it went. */
function run ([command, ...args], extra) {
  return new Promise((resolve) => {
    const started = Date.now()
    let output = ''
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...extra },
      stdio: ['ignore', 'pipe', 'pipe'],
      // On Windows npx is a command file, which only a shell can start.
      shell: process.platform === 'win32' && command === 'npx'
    })
    const limit = setTimeout(() => child.kill('SIGKILL'), STEP_LIMIT_MS)
    for (const stream of ['stdout', 'stderr']) {
      child[stream].on('data', (chunk) => { output += chunk; process[stream].write(chunk) })
    }
    child.on('error', (error) => console.error(`cannot run ${command}: ${error.message}`))
    child.on('close', (code) => {
      clearTimeout(limit)
      const ok = code === 0
      const { passed, failed } = count(output) ?? { passed: ok ? 1 : 0, failed: 0 }
      // A runner that fails without a failing test (coverage below its floor, a crash) has failed once.
      resolve({ ok, passed, failed: ok ? failed : failed || 1, seconds: (Date.now() - started) / 1000 })
    })
  })
}

async function main (given) {
  const wanted = given.filter((word) => word !== '--prebuilt')
  const unknown = wanted.filter((group) => !STEPS.some(([each]) => each === group))
  if (unknown.length > 0) throw new Error(`no such group: ${unknown.join(', ')}`)
  const chosen = STEPS.filter(([group]) => wanted.length === 0 || wanted.includes(group))
  const setup = [
    ...chosen.some(([group]) => NEED_BUILD.includes(group)) ? ['--tests'] : ['--no-addon'],
    ...given.includes('--prebuilt') ? ['--no-addon'] : []
  ]
  const results = []
  for (const [, name, command, extra] of [['', 'set-up', [node, 'scripts/setup.js', ...setup]], ...chosen]) {
    console.log(`\n── ${name}: ${command.map((part) => path.basename(part)).join(' ')}`)
    const result = await run(command, extra)
    results.push({ name, ...result })
    if (name === 'set-up' && !result.ok) break
  }
  console.log()
  for (const { name, ok, passed, failed, seconds } of results) {
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${name.padEnd(28)} ${String(passed).padStart(6)} passed ${String(failed).padStart(4)} failed ${seconds.toFixed(1).padStart(8)} s`)
  }
  const total = (key) => results.reduce((sum, result) => sum + result[key], 0)
  console.log(`\n${total('passed')} passed, ${total('failed')} failed`)
  process.exitCode = results.every(({ ok }) => ok) ? 0 : 1
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message)
  process.exitCode = 1
})
