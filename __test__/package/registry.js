'use strict'

/**
 * A registry of npm packages on loopback that has only our packed tarballs, as if they were published, so that package managers
 * need no network.
 */

const { execFileSync } = require('node:child_process')
const { createHash } = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')

const { PACKAGE, PLATFORMS } = require('../../addon')

/** Long enough ago for package managers that refuse what has just been published. */
const PUBLISHED = '2020-01-01T00:00:00.000Z'

/** The manifest in a tarball. */
function manifestOf (file) {
  return JSON.parse(execFileSync('tar', ['-xzOf', file, 'package/package.json'], { encoding: 'utf8' }))
}

/** The manifest of a platform package that was not built here, and its tarball with nothing else in it. */
function elsewhere (platform, version, folder) {
  const [os, cpu, abi] = platform.split('-')
  const libc = { gnu: ['glibc'], musl: ['musl'] }[abi]
  const manifest = { name: `${PACKAGE}-${platform}`, version, os: [os], cpu: [cpu], ...libc && { libc } }
  fs.mkdirSync(path.join(folder, platform, 'package'), { recursive: true })
  fs.writeFileSync(path.join(folder, platform, 'package/package.json'), JSON.stringify(manifest))
  const file = path.join(folder, `${platform}.tgz`)
  execFileSync('tar', ['-czf', file, '-C', path.join(folder, platform), 'package'])
  return [manifest, file]
}

/** What a registry says about a package of which it has this one version. */
function describe (manifest, file, address) {
  const bytes = fs.readFileSync(file)
  const hash = (algorithm, form) => createHash(algorithm).update(bytes).digest(form)
  const { name, version } = manifest
  const dist = {
    tarball: `${address}/${name}/-/${path.basename(name)}-${version}.tgz`,
    shasum: hash('sha1', 'hex'),
    integrity: `sha512-${hash('sha512', 'base64')}`
  }
  return {
    name,
    'dist-tags': { latest: version },
    versions: { [version]: { ...manifest, dist } },
    time: { created: PUBLISHED, modified: PUBLISHED, [version]: PUBLISHED }
  }
}

/**
 * Starts one.
 *
 * @param {{ main: { file: string }, platforms: Array<{ file: string }> }} packed by scripts/pack.js
 * @param {string} folder for the tarballs of other platforms
 * @returns {Promise<{ address: string, close: () => void }>}
 */
async function serve ({ main, platforms }, folder) {
  const files = new Map([main, ...platforms].map(({ file }) => [manifestOf(file), file]))
  const [root] = files.keys()
  const built = [...files.keys()].map(({ name }) => name)
  const published = new Map([
    ...PLATFORMS.filter((platform) => !built.includes(`${PACKAGE}-${platform}`)).map((platform) => elsewhere(platform, root.version, folder)),
    ...files
  ])
  // What is published names the packages of all platforms.
  root.optionalDependencies = Object.fromEntries(PLATFORMS.map((platform) => [`${PACKAGE}-${platform}`, root.version]))

  const server = http.createServer((request, response) => {
    const wanted = decodeURIComponent(new URL(request.url, 'http://127.0.0.1').pathname).slice(1)
    for (const [manifest, file] of published) {
      if (wanted === manifest.name) {
        response.setHeader('content-type', 'application/json')
        return response.end(JSON.stringify(describe(manifest, file, `http://${request.headers.host}`)))
      }
      if (wanted.startsWith(`${manifest.name}/-/`)) return response.end(fs.readFileSync(file))
    }
    response.statusCode = 404
    response.end('{}')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = `http://127.0.0.1:${server.address().port}`
  return {
    address,
    close () {
      server.close()
      server.closeAllConnections()
    }
  }
}

module.exports = { serve }
