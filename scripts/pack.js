'use strict'

/**
 * Packs what `npm publish` would publish, from the addons built in this checkout (`hyperemitter.<platform>.node`):
 *
 *   node scripts/pack.js FOLDER             the package, and one package for each addon, which it names as optional
 *   node scripts/pack.js FOLDER --bundled   one tarball with the addons inside, for machines without a registry
 *
 * The checkout itself is not changed.
 */

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.join(__dirname, '..')
const manifest = require('../package.json')

function run (command, args, cwd) {
  // On Windows npm is a command file, which only a shell can start.
  const shell = process.platform === 'win32' && command === 'npm'
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], shell })
}

/** Addons in the checkout as [platform, file name]. */
function addons () {
  const pattern = new RegExp(`^${manifest.napi.binaryName}\\.(.+)\\.node$`)
  return fs.readdirSync(root).map((name) => pattern.exec(name)).filter(Boolean).map(([name, platform]) => [platform, name])
}

/** Copies the files that belong to the package into `folder`, with `changes` to its manifest. */
function stage (folder, changes) {
  const [{ files }] = JSON.parse(run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], root))
  for (const { path: file } of files) {
    fs.cpSync(path.join(root, file), path.join(folder, file))
  }
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ ...manifest, ...changes }, null, 2))
}

/** Packs `folder` into `out`; returns the tarball's path and the size of what is in it, in bytes. */
function tarball (folder, out) {
  const [{ filename, unpackedSize }] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', out], folder))
  return { file: path.join(out, filename), unpackedSize }
}

/** The package and its platform packages: `{ main, platforms }`. */
function packForRegistry (out) {
  return inTemporaryFolder((work) => {
    const optionalDependencies = { ...manifest.optionalDependencies }
    for (const [platform] of addons()) optionalDependencies[`${manifest.napi.packageName}-${platform}`] = manifest.version
    stage(work, { optionalDependencies })
    // The napi tooling works only on the package in the current folder, and on folders within it.
    run(process.execPath, [path.join(root, 'node_modules/@napi-rs/cli/dist/cli.js'), 'create-npm-dirs'], work)
    const platforms = addons().map(([platform, name]) => {
      const folder = path.join(work, 'npm', platform)
      fs.copyFileSync(path.join(root, name), path.join(folder, name))
      return tarball(folder, out)
    })
    return { main: tarball(work, out), platforms }
  })
}

/** One tarball that needs no other: `{ main }`. The loader looks for an addon beside itself first. */
function packBundled (out) {
  return inTemporaryFolder((work) => {
    stage(work, { files: [...manifest.files, '*.node'] })
    for (const [, name] of addons()) fs.copyFileSync(path.join(root, name), path.join(work, name))
    const packed = tarball(work, work)
    const file = path.join(out, path.basename(packed.file, '.tgz') + '-bundled.tgz')
    fs.copyFileSync(packed.file, file)
    return { main: { ...packed, file }, platforms: [] }
  })
}

function inTemporaryFolder (work) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-pack-'))
  try {
    return work(folder)
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

module.exports = { packForRegistry, packBundled }

if (require.main === module) {
  const [out, form] = process.argv.slice(2)
  if (!out || addons().length === 0) {
    console.error(out ? 'no addon here: run `npm run build` first' : 'usage: node scripts/pack.js FOLDER [--bundled]')
    process.exit(1)
  }
  fs.mkdirSync(out, { recursive: true })
  const { main, platforms } = (form === '--bundled' ? packBundled : packForRegistry)(path.resolve(out))
  for (const { file, unpackedSize } of [main, ...platforms]) {
    console.log(`${file}: ${fs.statSync(file).size} bytes, ${unpackedSize} unpacked`)
  }
}
