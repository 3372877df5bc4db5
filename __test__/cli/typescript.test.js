'use strict'

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')
const { compile } = require('../..')
const { Schema, loadSchema } = require('../../lib/cli/schema')
const { toTypeScript } = require('../../lib/cli/typescript')

const ROOT = join(__dirname, '../..')

const SCHEMA = `
enum Colour { RED = 0; BLUE = 5; }
message userAdded {
  required int32 id = 1;
  optional string username = 2;
  optional bytes picture = 3;
  optional Address address = 4;
  repeated Address former = 5;
  map<string, Address> others = 6;
  optional Colour colour = 7;
  repeated Colour colours = 8;
  optional int64 big = 9;
  oneof contact { string mail = 10; string phone = 11; }
  message Address { required string street = 1; optional Address next = 2; }
}
message Record { optional bool odd = 1; }
message class { optional string enum = 1; }
message Empty {}
`

const USE = `
import HyperEmitter from 'hyperemitter'
import { Colour, type Events, type userAdded } from './events.js'

const hyper = new HyperEmitter<Events>(':memory:', 'x')
hyper.emit('userAdded', { id: 1, address: { street: 'x' }, colour: Colour.BLUE, big: 1, picture: new Uint8Array(1) })
hyper.emit('userAdded', { id: 1, colour: 5 })
hyper.emit('Record', {})
hyper.emit('class', { enum: 'x' })
hyper.on('userAdded', (message) => {
  const id: number = message.id
  const name: string = message.username
  const picture: Buffer | null = message.picture
  const street: string | undefined = message.address?.street
  const colours: Colour[] = message.colours
  const other: string | undefined = message.others['x']?.next?.street
  const mail: string | undefined = message.mail
  void [id, name, picture, street, colours, other, mail]
})
hyper.on('EventPeer', ({ addresses }) => addresses.length)
// @ts-expect-error id is required
hyper.emit('userAdded', {})
// @ts-expect-error no such colour
hyper.emit('userAdded', { id: 1, colour: 3 })
// @ts-expect-error no such event
hyper.emit('userRemoved', {})
// @ts-expect-error no such field
hyper.on('userAdded', (message: userAdded) => message.nosuch)
`

function typesOf (schema, options) {
  const messages = compile(schema)
  return toTypeScript(new Schema(messages).plan, options)
}

/** Every way in which TypeScript 7 finds modules, and how its files end there: ESM and CommonJS. */
const RESOLUTIONS = {
  nodenext: { module: 'nodenext', ending: 'mts' },
  'nodenext, CommonJS': { module: 'nodenext', ending: 'cts' },
  node16: { module: 'node16', ending: 'mts' },
  bundler: { module: 'esnext', moduleResolution: 'bundler', ending: 'ts' },
  'bundler, as it stands': { module: 'preserve', verbatimModuleSyntax: true, ending: 'mts' }
}

/** Compiles files as a user's project that has hyperemitter installed; resolves to what the compiler says. */
async function compiled (t, name, { ending, ...how }, files) {
  const dir = join(ROOT, `node_modules/.hypem-types-${process.pid}-${name.replace(/\W/g, '')}`)
  mkdirSync(join(dir, 'node_modules'), { recursive: true })
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  symlinkSync(ROOT, join(dir, 'node_modules/hyperemitter'))
  symlinkSync(join(ROOT, 'node_modules/@types'), join(dir, 'node_modules/@types'))
  writeFileSync(join(dir, 'package.json'), '{"name":"user"}')
  for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, `${file}.${ending}`), text)
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { strict: true, noEmit: true, skipLibCheck: false, target: 'es2022', types: ['node'], exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, ...how },
    include: [`*.${ending}`]
  }))
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', dir], { encoding: 'utf8' }).catch((error) => error)
  return stdout
}

for (const [name, how] of Object.entries(RESOLUTIONS)) {
  test(`the types fit HyperEmitter<Events>, and reject wrong payloads: ${name}`, async (t) => {
    const js = how.ending.replace('t', 'j')
    const use = USE.replace('./events.js', `./events.${js}`)
    assert.equal(await compiled(t, name, how, { events: typesOf(SCHEMA, { source: 'events.proto' }), use }), '')
  })
}

// If a folder is missing, `node scripts/setup.js --tests` installs it, as `npm test` does.
test('the types of real schemas of all kinds compile under --strict, in both encodings', async (t) => {
  const folders = ['proto', '__test__/protobuf/node_modules/protobufjs/google', '__test__/oracle/node_modules/protocol-buffers-schema/test/fixtures', '__test__/oracle/node_modules/hyperemitter', '__test__/oracle/node_modules/protocol-buffers', '__test__/oracle/node_modules/hyperlog']
  const files = {}
  for (const folder of folders) {
    for (const file of readdirSync(join(ROOT, folder), { recursive: true }).filter((file) => file.endsWith('.proto'))) {
      let plan
      try {
        plan = loadSchema(join(ROOT, folder, file), compile).plan
      } catch (error) {
        if (error.code === 'ERR_HYPER_SCHEMA') continue // some are there to be refused
        throw error
      }
      const name = `${folder}_${file}`.replace(/\W+/g, '_')
      for (const standard of [false, true]) files[`${name}_${standard ? 'standard' : 'own'}`] = toTypeScript(plan, { source: file, standard })
    }
  }
  assert.ok(Object.keys(files).length >= 20, `${Object.keys(files).length} files of types`)
  assert.equal(await compiled(t, 'real', RESOLUTIONS.nodenext, files), '')
})

test('the types for emit and for listeners differ', () => {
  const types = typesOf(SCHEMA)
  assert.match(types, /userAdded: Payload<userAddedInput, userAdded>/)
  assert.match(types, /export interface userAddedInput \{\n {2}id: number\n {2}username\?: string \| null\n/)
  assert.match(types, /export interface userAdded \{\n {2}id: number\n {2}username: string\n/)
  assert.match(types, /export interface userAdded_Address \{/)
  assert.match(types, /others: Record<string, userAdded_Address>/)
  assert.match(types, /export const Colour = \{\n {2}RED: 0,\n {2}BLUE: 5\n\} as const\nexport type Colour = typeof Colour\[keyof typeof Colour\]\n/)
})

test('names that are reserved in TypeScript are replaced', () => {
  const types = typesOf(SCHEMA)
  assert.match(types, /class: Payload<class_Input, class_>/)
  assert.match(types, /Record: Payload<Record_2Input, Record_2>/)
})

test('64-bit fields in standard protobuf may be BigInts, those of 1.x may not', () => {
  assert.match(typesOf(SCHEMA, { standard: true }), /big: number \| bigint/)
  assert.doesNotMatch(typesOf(SCHEMA), /bigint/)
})

test('proto3 fields are required unless they are optional', () => {
  const types = typesOf('syntax = "proto3"; enum Kind { A = 0; } message order { int32 id = 1; optional int32 size = 2; repeated string tags = 3; Kind kind = 4; order parent = 5; map<string, int32> counts = 6; oneof of { string a = 7; } bytes data = 8; }')
  const [, input] = /interface orderInput \{\n([^}]*)\}/.exec(types)
  assert.deepEqual(input.trim().split(/\n */), [
    'id: number', 'size?: number | null', 'tags?: string[] | null', 'kind: Kind', 'parent?: orderInput | null', 'counts?: Record<string, number> | null', 'a?: string | null', 'data: Uint8Array | string'
  ])
  const hears = (standard) => typesOf('syntax = "proto3"; message x { bytes a = 1; optional bytes b = 2; x c = 3; }', { standard }).match(/interface x \{([^}]*)\}/)[1].trim().split(/\n */)
  assert.deepEqual(hears(false), ['a: Buffer | null', 'b: Buffer | null', 'c: x | null'])
  assert.deepEqual(hears(true), ['a: Buffer', 'b: Buffer | null', 'c: x | null'])
  assert.match(typesOf('syntax = "proto3"; enum Kind { A = 0; } message order { Kind kind = 1; }', { standard: true }), /kind: Kind \| keyof typeof Kind\n/)
})

test('enum constants have the same values as in messages', () => {
  const schema = 'enum Kind { A = 0; B = 010; C = -1; } message x { optional Kind kind = 1; }'
  for (const protobuf of ['1.x', 'standard']) {
    const types = typesOf(schema, { standard: protobuf === 'standard' })
    const [, body] = /export const Kind = (\{[^}]*\}) as const/.exec(types)
    const constants = Function(`return ${body}`)() // eslint-disable-line no-new-func
    assert.deepEqual(Object.keys(constants), ['A', 'B', 'C'])
    const { x } = compile(schema, { protobuf })
    for (const kind of [constants.A, constants.B]) assert.equal(x.decode(x.encode({ kind })).kind, kind)
    assert.equal(constants.B, protobuf === '1.x' ? 10 : x.decode(x.encode({ kind: 'B' })).kind)
  }
})
