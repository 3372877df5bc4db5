'use strict'

// Compiles the declarations, and the output of `hypem types`, with every TypeScript since 5.4 and every way to resolve modules:
// in strict mode, without settings that add other types, from the folder that users get.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { before, after, describe, test } = require('node:test')

const HyperEmitter = require('../..')
const types = require('../../lib/cli/commands/types')
const { loadSchema } = require('../../lib/cli/schema')

const root = path.join(__dirname, '../..')
const PROTOS = path.join(__dirname, 'protos')
/** Files that protobufjs brings along: what Google's own schemas look like. */
const GOOGLE = path.join(root, '__test__/protobuf/node_modules/protobufjs/google/protobuf')

const compiler = (name) => path.join(__dirname, 'versions/node_modules', name, 'bin/tsc')
const COMPILERS = {
  5.4: compiler('typescript-5.4'),
  5.6: compiler('typescript-5.6'),
  5.9: compiler('typescript-5.9'),
  '6.0': compiler('typescript-6.0'),
  7: path.join(root, 'node_modules/typescript/bin/tsc')
}

/** Options, and the files that make sense with them. TypeScript 7 has no node10. */
const RESOLUTIONS = {
  node10: { options: { module: 'commonjs', moduleResolution: 'node10' }, files: ['common.ts', 'imported.ts', 'schemas.ts'], until: 6 },
  node16: { options: { module: 'node16', moduleResolution: 'node16' }, files: ['common.cts', 'module.mts', 'schemas.mts', 'imported.cts'] },
  nodenext: { options: { module: 'nodenext', moduleResolution: 'nodenext' }, files: ['common.cts', 'module.mts', 'schemas.mts', 'imported.cts'] },
  bundler: { options: { module: 'esnext', moduleResolution: 'bundler' }, files: ['module.ts', 'schemas.ts'] }
}

const SCHEMA = 'message userAdded { required int32 id = 1; required string username = 2; }'

/** What a program does with the types, whichever way it got `HyperEmitter`, `HyperError` and the names. */
const USE = `
interface Users { userAdded: { id: number, username: string }, userSeen: Payload<{ at?: number }, { at: number }> }
export async function use (): Promise<void> {
  const emitter: HyperEmitter<Users> = new HyperEmitter<Users>(':memory:', ${JSON.stringify(SCHEMA)})
  emitter.on('userAdded', (user) => { console.log(user.username.toUpperCase()) }).emit('userSeen', {})
  const node: Node = await emitter.append('userAdded', { id: 1, username: 'a' })
  // @ts-expect-error there is no such event
  emitter.emit('userGone', { id: 1 })
  // @ts-expect-error a string is no id
  emitter.emit('userAdded', { id: '1', username: 'a' })
  const [first] = await once(emitter, 'userAdded')
  for await (const [next] of on(emitter, 'userAdded')) console.log(first, next)
  for await (const entry of emitter.read({ names: ['userSeen'] })) entry.payload?.at.toFixed()
  for await (const event of emitter.stream()) if (event.name === 'userAdded') event.payload.username.trim()
  const entry: Entry<Users, 'userAdded'> | undefined = undefined
  const options: Options = { reconnectTimeout: 50 }
  try {
    emitter.emit('userAdded', { id: node.change, username: String(entry ?? options.dial) })
  } catch (error) {
    if (!(error instanceof HyperError)) throw error
    const code: ErrorCode = error.code
    const own: HyperError = error
    // @ts-expect-error there is no such code
    if (code === 'ERR_HYPER_NOPE') console.log(own)
  }
  await using held = emitter
  compile<Users>('').userAdded.encode({ id: held.listenerCount('userAdded'), username: '' })
}
`
const NODE = "import { on, once } from 'node:events'\n"
const TAKEN = ['Payload', 'Node', 'Entry', 'Options', 'ErrorCode']

let app

/** Every type that index.d.ts declares in its namespace, with how many parameters it must be given. */
function declaredTypes () {
  const text = fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8')
  return [...text.slice(text.indexOf('declare namespace')).matchAll(/^ {2}(?:interface|type|class) (\w+)/gm)].map(([, name]) => name)
}

/** Names that are there for other declarations only. */
const INTERNAL = ['CoreEvents', 'Of']

function run (file, args, cwd) {
  return new Promise((resolve) => {
    execFile(process.execPath, [file, ...args], { cwd, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve(error ? `${stdout}${stderr}` || error.message : '')
    })
  })
}

function write (name, text) {
  fs.writeFileSync(path.join(app, name), text)
}

/** What `hypem types` writes for each schema, in both encodings, as `name.ts` beside the program; and a program that uses it. */
async function writeSchemas () {
  const schemas = [
    ...fs.readdirSync(PROTOS).map((file) => path.join(PROTOS, file)),
    ...['api', 'type', 'source_context'].map((name) => path.join(GOOGLE, `${name}.proto`))
  ]
  const modules = []
  const context = { schema: (file) => loadSchema(file, HyperEmitter.compile) }
  for (const file of schemas) {
    for (const kind of ['1.x', 'standard']) {
      const name = `${path.basename(file, '.proto')}_${kind === 'standard' ? 'standard' : 'legacy'}`
      await types.run(context, { protobuf: kind, out: path.join(app, `${name}.ts`) }, [file])
      fs.copyFileSync(path.join(app, `${name}.ts`), path.join(app, `${name}.mts`))
      modules.push(name)
    }
  }
  const program = (suffix) => `import HyperEmitter from 'hyperemitter'
${modules.map((name) => `import type { Events as ${name} } from './${name}${suffix}'`).join('\n')}
import { Role, type AccountOpened } from './accounts_legacy${suffix}'
import type { TransferInput } from './bank_standard${suffix}'

${modules.map((name) => `export const of_${name} = new HyperEmitter<${name}>()`).join('\n')}

of_accounts_legacy.emit('AccountOpened', { id: 'a', email: 'b', roles: [Role.ADMIN] })
of_accounts_legacy.on('AccountOpened', (account: AccountOpened) => { const role: Role | undefined = account.roles[0]; console.log(account.display_name.length, role) })
// @ts-expect-error email is required
of_accounts_legacy.emit('AccountOpened', { id: 'a' })
// @ts-expect-error there is no such role
of_accounts_legacy.emit('AccountOpened', { id: 'a', email: 'b', roles: [7] })
// @ts-expect-error a field of proto3 that is not optional
of_shop_standard.emit('OrderShipped', { id: 1n })
export const transfer: TransferInput = { id: 1n, from: 'a', to: 'b', amount: { currency: 'EUR', units: 1, nanos: 0 }, done: true }
`
  write('schemas.ts', program(''))
  write('schemas.mts', program('.mjs'))
}

before(async () => {
  app = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'hyperemitter-types-')))
  const installed = path.join(app, 'node_modules/hyperemitter')
  fs.mkdirSync(installed, { recursive: true })
  for (const file of ['package.json', 'index.js', 'index.mjs', 'index.d.ts', 'index.d.mts', 'hyperemitter.js', 'hyperemitter.d.ts']) {
    fs.copyFileSync(path.join(root, file), path.join(installed, file))
  }
  fs.cpSync(path.join(root, 'node_modules/@types/node'), path.join(app, 'node_modules/@types/node'), { recursive: true })
  fs.cpSync(path.join(root, 'node_modules/undici-types'), path.join(app, 'node_modules/undici-types'), { recursive: true })
  write('package.json', '{ "private": true }')

  const names = declaredTypes().filter((name) => !INTERNAL.includes(name))
  const common = `${NODE}import HyperEmitter = require('hyperemitter')
import same = require('hyperemitter/hyperemitter')
const { HyperError, compile } = HyperEmitter
type HyperError = HyperEmitter.HyperError
${TAKEN.map((name) => name === 'Payload' ? 'type Payload<In, Out> = HyperEmitter.Payload<In, Out>' : name === 'Entry' ? 'type Entry<E extends HyperEmitter.EventMap<E>, K> = HyperEmitter.Entry<E, K>' : `type ${name} = HyperEmitter.${name}`).join('\n')}
export const factory: typeof HyperEmitter = same
${USE}`
  const imported = `${NODE}import HyperEmitter = require('hyperemitter')
import { compile, HyperError } from 'hyperemitter'
import type { ${TAKEN.join(', ')} } from 'hyperemitter'
${USE}`
  const module = `${NODE}import HyperEmitter, { HyperEmitter as Named, HyperError, compile } from 'hyperemitter'
import type { ${names.filter((name) => name !== 'HyperError').join(', ')} } from 'hyperemitter'
export const same: typeof HyperEmitter = Named
export type { ${names.filter((name) => name !== 'HyperError').join(', ')} }
${USE}`
  write('common.ts', common)
  write('common.cts', common)
  write('imported.ts', imported)
  write('imported.cts', imported)
  write('module.ts', module)
  write('module.mts', module)
  await writeSchemas()
})

after(() => { if (app) fs.rmSync(app, { recursive: true, force: true }) })

test('index.d.mts exports every type by name', () => {
  const text = fs.readFileSync(path.join(root, 'index.d.mts'), 'utf8')
  const exported = [...text.slice(text.indexOf('export type {')).matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name)
  assert.deepEqual([...exported, 'HyperError'].sort(), declaredTypes().filter((name) => !INTERNAL.includes(name)).sort())
})

describe('strict', { concurrency: os.availableParallelism() }, () => {
  for (const [version, tsc] of Object.entries(COMPILERS)) {
    for (const [resolution, { options, files, until = Infinity }] of Object.entries(RESOLUTIONS)) {
      if (Number(version) > until) continue
      test(`TypeScript ${version}, ${resolution}`, async () => {
        const config = `tsconfig-${version}-${resolution}.json`
        write(config, JSON.stringify({
          compilerOptions: {
            strict: true,
            noEmit: true,
            target: 'es2022',
            lib: ['es2022', 'esnext.disposable'],
            types: [],
            esModuleInterop: true,
            ...options,
            ...resolution === 'node10' && version === '6.0' && { ignoreDeprecations: '6.0' }
          },
          files
        }))
        assert.equal(await run(tsc, ['-p', config], app), '')
      })
    }
  }
})
