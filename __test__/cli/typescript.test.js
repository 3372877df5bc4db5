'use strict'

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { mkdirSync, rmSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { compile } = require('../..')
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
import type { Events, Colour, userAdded } from './events.js'

const hyper = new HyperEmitter<Events>(':memory:', 'x')
hyper.emit('userAdded', { id: 1, address: { street: 'x' }, colour: 5, big: 1n, picture: new Uint8Array(1) })
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
  return toTypeScript(Object.getPrototypeOf(messages).toJSON.call(messages), options)
}

test('the types fit HyperEmitter<Events>, and refuse what is wrong', (t) => {
  const dir = join(ROOT, `node_modules/.hypem-types-${process.pid}`) // resolves hyperemitter as a user's program does
  mkdirSync(join(dir, 'node_modules'), { recursive: true })
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(join(dir, 'events.ts'), typesOf(SCHEMA, { source: 'events.proto' }))
  writeFileSync(join(dir, 'use.ts'), USE)
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      strict: true, noEmit: true, skipLibCheck: false, module: 'nodenext', target: 'es2022', types: ['node'], typeRoots: [join(ROOT, 'node_modules/@types')], esModuleInterop: true, paths: { hyperemitter: [join(ROOT, 'index.d.ts')] }
    },
    include: ['*.ts']
  }))
  const { status, stdout } = spawnSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', dir], { encoding: 'utf8' })
  assert.equal(stdout, '')
  assert.equal(status, 0)
})

test('what emit needs and what listeners hear differ', () => {
  const types = typesOf(SCHEMA)
  assert.match(types, /userAdded: Payload<userAddedInput, userAdded>/)
  assert.match(types, /export interface userAddedInput \{\n {2}id: number\n {2}username\?: string \| null\n/)
  assert.match(types, /export interface userAdded \{\n {2}id: number\n {2}username: string\n/)
  assert.match(types, /export interface userAdded_Address \{/)
  assert.match(types, /others: Record<string, userAdded_Address>/)
  assert.match(types, /export type Colour = 0 \| 5\n/)
})

test('names that TypeScript has another use for are evaded', () => {
  const types = typesOf(SCHEMA)
  assert.match(types, /class: Payload<class_Input, class_>/)
  assert.match(types, /Record: Payload<Record_2Input, Record_2>/)
})

test('standard protobuf has BigInt beyond numbers', () => {
  assert.match(typesOf(SCHEMA, { standard: true }), /big: number \| bigint/)
})
