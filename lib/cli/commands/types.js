'use strict'

const { writeFile } = require('node:fs/promises')
const { forJson } = require('../escape')
const { toTypeScript } = require('../typescript')

module.exports = {
  name: 'types',
  summary: 'write TypeScript types for the messages of a schema',
  usage: ['types SCHEMA [--out FILE] [--protobuf 1.x|standard]'],
  description: [
    'Prints a TypeScript module for the schema. Events is the map of events, for new HyperEmitter<Events>(…): names and payloads are then checked in emit, append, on and read.',
    'Each message has two types: Name is what listeners hear, with defaults in place of absent fields; NameInput is what emit takes. In NameInput, optional fields, lists and maps may be omitted; required fields, and fields of proto3 that are not optional, may not. Each enum is both an object of its values and their type: Colour.RED.'
  ],
  operands: [{ name: 'SCHEMA', value: 'FILE' }],
  options: {
    out: { type: 'string', short: 'o', value: 'FILE', help: 'write to this file instead of standard output' },
    protobuf: { type: 'string', value: 'KIND', choices: ['1.x', 'standard'], help: 'the same as the emitter\'s option protobuf (1.x)' },
    json: { type: 'boolean', help: 'print the compiled schema as JSON instead' }
  },
  examples: [['Write them next to the schema', 'hypem types messages.proto --out messages.ts']],
  async run (context, values, [file]) {
    const { plan, json } = context.schema(file)
    const result = values.json ? forJson(json, 2) + '\n' : toTypeScript(plan, { source: file, standard: values.protobuf === 'standard' })
    if (values.out) await writeFile(values.out, result)
    else await context.print(result)
  }
}
